"""A learning rate that falls sooner for small architectures than for large ones.

Small networks of a supernet are trained in few steps and large ones in many, so that at any moment
the small ones look better than they will be. DYNAS (Jeon et al., "Dynamic supernet training", CVPR
2025) lets the rate of a step fall as ``(1 - progress) ** exponent`` with an exponent by the size of
its architecture: early for the smallest, late for the largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

SMALLEST, LARGEST = 4.0, 0.25
"""Exponents of the cheapest and of the most expensive architecture."""

Pace = Callable[[Sequence[Architecture | None]], float]
"""The exponent of a step, from its architectures; None among them stands for a whole model."""


def make_pace(root: Region, cost: Callable[[Architecture], float]) -> Pace:
    """Exponents by cost, linear in its logarithm.

    Args:
        root: The whole space. An architecture has the same exponent in every region of it.
        cost: What an architecture costs, above 0.

    Returns:
        A function of the architectures of a step; of several the mean.
    """
    least = math.log(cost(extreme(root, lambda architecture: -cost(architecture))))
    most = math.log(cost(extreme(root, cost)))

    def exponent(architecture: Architecture | None) -> float:
        if architecture is None or most <= least:
            return 1.0
        # The ends are found decision by decision, and need not be the very ends.
        place = min(1.0, max(0.0, (math.log(cost(architecture)) - least) / (most - least)))
        return SMALLEST + (LARGEST - SMALLEST) * place

    def pace(architectures: Sequence[Architecture | None]) -> float:
        return sum(map(exponent, architectures)) / len(architectures)

    return pace
