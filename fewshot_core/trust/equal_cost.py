"""Which networks an audit trains: about equal in cost, spread over the ranks of their scores."""

from __future__ import annotations

from collections.abc import Sequence

STEPS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25)
"""Largest difference in cost, as a share of the middle; tried from the narrowest on."""


def near_cost(costs: Sequence[float], middle: float, wanted: int, least: int) -> list[int]:
    """Positions of the candidates that cost about as much as ``middle``.

    The narrowest window of :data:`STEPS` that holds ``wanted`` of them, or the widest. Where even
    that holds fewer than ``least``, the ``least`` nearest in cost, the first of equals, whose costs
    show that the window was left.

    Args:
        costs: Costs [n], at least 0.
        middle: The cost in the middle of the window, in the same unit.
        wanted: How many candidates make a window good, at least ``least``.
        least: How many there have to be, if there are so many at all.

    Returns:
        Positions in ascending order.
    """
    distances = [abs(cost - middle) for cost in costs]
    inside: list[int] = []
    for share in STEPS:
        inside = [i for i, distance in enumerate(distances) if distance <= share * middle]
        if len(inside) >= wanted:
            return inside
    if len(inside) >= least:
        return inside
    return sorted(sorted(range(len(costs)), key=distances.__getitem__)[:least])


def choose_spread(scores: Sequence[float], count: int) -> list[int]:
    """Positions of ``count`` candidates at even distances in the order of their scores.

    Worst and best are among them. Of equal scores the first counts as the best, so that whoever
    puts the architecture that a search found in front gets it if nothing has a better score.

    Args:
        scores: Finite scores [n], higher is better.
        count: How many, at least 2; all where there are no more.

    Returns:
        Distinct positions, the worst first.
    """
    order = sorted(range(len(scores)), key=lambda i: (scores[i], -i))
    if len(order) <= count:
        return order
    return [order[round(i * (len(order) - 1) / (count - 1))] for i in range(count)]
