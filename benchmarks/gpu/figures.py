"""How well scores rank cells: over all of them, within equal cost, and of the upper half."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.ranking.arms import FIGURES
from fewshot_core.pipeline.rank import Truth
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.correlation import iso_cost_tau

CONVOLUTION, UPPER = "nor_conv_3x3", 2
"""The upper half: cells with so many of these, or more, between input and output."""


def rank_cells(truth: Truth, values: NDArray[np.float64]) -> dict[str, float | int | None]:
    """How well values rank the cells: over all, within equal cost, and of its upper half."""
    found = truth.figures(values).to_json()
    upper = np.array([_is_upper(truth, a) for a in truth.architectures])
    costs = truth.costs["connected_params"]
    within = iso_cost_tau(
        values[upper],
        truth.values[upper],
        costs[upper],
        truth.connected[upper],
        truth.iso_minimum,
    )
    row = {name: found[name] for name in (*FIGURES, "best_possible")}
    tau = round(within.tau, 5) if within.groups else None
    return row | {"upper_tau": tau, "upper_count": within.architectures}


def _is_upper(truth: Truth, cell: Architecture) -> bool:
    connected = truth.space.connected(cell)
    return connected is not None and connected.choices.count(CONVOLUTION) >= UPPER
