"""The Pareto front of a score and a cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pareto_front(costs: ArrayLike, scores: ArrayLike) -> list[int]:
    """Indices of what nothing cheaper or equally cheap beats, by rising cost and score.

    Args:
        costs: Lower is better, ``[n]``.
        scores: Higher is better, ``[n]``.
    """
    prices, values = np.asarray(costs, dtype=float), np.asarray(scores, dtype=float)
    front: list[int] = []
    for index in np.lexsort((-values, prices)):
        if not front or values[index] > values[front[-1]]:
            front.append(int(index))
    return front
