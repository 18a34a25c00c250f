"""The Pareto front of a score and a cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pareto_front(
    costs: ArrayLike, scores: ArrayLike, further: ArrayLike | None = None
) -> list[int]:
    """Indices of what nothing cheaper or equally cheap beats, by rising cost and score.

    Args:
        costs: Lower is better, ``[n]``.
        scores: Higher is better, ``[n]``.
        further: Decides between equal costs with equal scores, lower is better, ``[n]``; none, or
            equal as well: the first of them is on the front.
    """
    prices, values = np.asarray(costs, dtype=float), np.asarray(scores, dtype=float)
    others = np.zeros_like(prices) if further is None else np.asarray(further, dtype=float)
    front: list[int] = []
    for index in np.lexsort((others, -values, prices)):
        if not front or values[index] > values[front[-1]]:
            front.append(int(index))
    return front
