"""Are the errors of supernets noise? Their mean rank, and what they misjudge at equal cost.

    python -m benchmarks.studies.ranking.errors --data ../shared/data \\
        long=runs/ranking/one-shot-balanced-120-0/scores/recalibrated-15625.csv \\
        lab=runs/nasbench201/scores/one-shot.csv

Each word is a name and a score file as ``tools/rank.py`` and ``benchmarks.studies.ranking`` leave
it. If errors were noise of their own, the mean rank of supernets that were trained independently
would order architectures better than each of them. What is misjudged is told by a linear fit:
within the groups of equal cost, the place of a cell (0: worst, 1: best) by truth and by score, as a
sum over its operations, each against no operation on that edge. It explores with the truth in view,
and chooses nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.studies.cifar10 import COLUMNS, TABLE, Cells, costs_of
from benchmarks.studies.record import write_results
from benchmarks.studies.tables import Table
from fewshot_core.pipeline.rank import Truth
from fewshot_core.recipe.load import load_recipe
from fewshot_core.trust.ranking import ISO_MINIMUM
from fewshot_core.trust.scores import read_table
from fewshot_tasks.cifar10.space import OPERATIONS

Values = NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("files", nargs="+", metavar="NAME=CSV")
    options = parser.parse_args()
    costs = costs_of(load_recipe(["recipe=nasbench201"]).recipe)
    truth = Cells(options.data / TABLE, None).truth(COLUMNS[0], costs)
    scores = {}
    for word in options.files:
        name, _, path = word.partition("=")
        scores[name] = -truth.align(read_table(path, "loss"), Path(path))
    figures = {"ranked": rank_each(truth, scores), "at_equal_cost": fit_errors(truth, scores)}
    show(figures)
    print(write_results("ranking_errors", figures, [0]))
    return 0


def rank_each(truth: Truth, scores: Mapping[str, Values]) -> dict[str, dict[str, Any]]:
    """Each predictor alone, and the mean of their ranks."""
    mean = np.sum([rankdata(values) for values in scores.values()], axis=0)
    rows = {**scores, "mean rank": mean}
    names = ("tau", "iso_cost_tau", "best_true")
    found = {name: truth.figures(values).to_json() for name, values in rows.items()}
    return {name: {key: row[key] for key in names} for name, row in found.items()}


def fit_errors(truth: Truth, scores: Mapping[str, Values]) -> dict[str, dict[str, float]]:
    """Per operation of an edge, what it adds to the place among cells of equal cost."""
    names = [decision.name for decision in truth.space.decisions]
    present = [(place, o) for place in range(len(names)) for o in OPERATIONS if o != "none"]
    design = np.array(
        [[*(a.choices[place] == o for place, o in present), True] for a in truth.architectures],
        dtype=np.float64,
    )
    columns = {
        name: _fit(design, _places(truth, values))
        for name, values in {"truth": truth.values, **scores}.items()
    }
    return {
        f"{names[place]} {o}": {name: round(float(c[i]), 3) for name, c in columns.items()}
        for i, (place, o) in enumerate(present)
    }


def _places(truth: Truth, values: Values) -> Values:
    """From 0 to 1 inside the group of equal cost; nan in groups that are too small."""
    places = np.full(len(values), np.nan)
    cost = truth.costs["connected_params"]
    for value in np.unique(cost[truth.connected]):
        (group,) = np.nonzero(truth.connected & (cost == value))
        if len(group) >= ISO_MINIMUM:
            places[group] = (rankdata(values[group]) - 0.5) / len(group)
    return places


def _fit(design: Values, places: Values) -> Values:
    known = np.isfinite(places)
    solution, *_ = np.linalg.lstsq(design[known], places[known], rcond=None)
    return solution.astype(np.float64)


def show(figures: Mapping[str, Any]) -> None:
    """Print both tables."""
    ranks, costs = figures["ranked"], figures["at_equal_cost"]
    header = ("predictor", "tau", "iso-cost tau", "true accuracy of best")
    lines = [
        (name, f"{r['tau']:.3f}", f"{r['iso_cost_tau']:.3f}", f"{r['best_true']:.2f}")
        for name, r in ranks.items()
    ]
    Table("all cells, by loss", header, lines).show()
    names = list(next(iter(costs.values())))
    rows = [(key, *(f"{row[name]:+.2f}" for name in names)) for key, row in costs.items()]
    Table("place at equal cost, 0 to 1", ("operation", *names), rows).show()


if __name__ == "__main__":
    raise SystemExit(main())
