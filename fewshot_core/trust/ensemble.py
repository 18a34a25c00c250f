"""A rank ensemble of a supernet's scores with the size of the network.

A supernet tells networks of equal cost apart and is weak at comparing small with large ones;
counting is the reverse. The ensemble adds the two rankings with equal weights: a rule without a
parameter to tune. It was fixed on 2026-11-24, before it had been applied to any score of this
project. Its authors knew sums of the same kind for other people's supernets, weights 0.5 and 1,
compared with the same benchmark (``docs/ranking.md``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fewshot_core.errors import DataError
from fewshot_core.trust.correlation import check_pair

COST_WEIGHT = 1.0
"""Weight of the cost ranking, beside 1 for the scores. Not to be changed after a comparison."""


def rank_ensemble(scores: ArrayLike, costs: ArrayLike, connected: ArrayLike) -> NDArray[np.float64]:
    """The sum of the two rankings.

    Equal values share their mean rank, so among networks of equal cost the order is that of the
    scores. Architectures whose output does not see the input come last, all equal.

    Args:
        scores: Higher is better, ``[n]``.
        costs: Size of the connected part, such as its parameters, ``[n]``.
        connected: Booleans ``[n]``.

    Returns:
        ``[n]``, higher is better; between 0 and 2, and -1 for the unconnected ones.

    Raises:
        DataError: A value is not finite, or the lengths differ.
    """
    scores, costs = check_pair(scores, costs)
    mask = np.asarray(connected, dtype=bool)
    if mask.shape != scores.shape:
        raise DataError(
            "the connected flags do not fit the scores", found=mask.size, allowed=scores.size
        )
    size = max(scores.size, 1)
    total = (stats.rankdata(scores) + COST_WEIGHT * stats.rankdata(costs)) / size
    return np.where(mask, total, -1.0)
