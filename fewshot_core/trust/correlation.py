"""Rank correlation of predicted with true scores: tau-b, rho, and tau-b at equal cost.

All arrays have shape ``[n]``, one entry per architecture, in the same order.

Sources: tau-b is M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945;
rho is C. Spearman, American Journal of Psychology 15, 1904. The iso-cost figure is ours: many
predictors, and plain FLOPs with them, rank well only because bigger networks are better, so it
asks what is left of the ranking between architectures of equal cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewshot_core.errors import DataError

Vector = NDArray[np.float64]

ISO_MINIMUM = 30
"""Architectures of equal cost that make a group."""


@dataclass(frozen=True)
class IsoCost:
    """Rank correlation between architectures of equal cost.

    Attributes:
        tau: Mean tau-b inside the groups, weighted by their sizes; nan without a group.
        groups: Number of groups counted.
        architectures: Number of architectures in them.
    """

    tau: float
    groups: int
    architectures: int


def kendall(scores: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's tau-b (Kendall 1945) of two arrays [n].

    Returns:
        A value in [-1, 1]. Zero when either input is constant, where tau-b is 0/0: a predictor
        that cannot tell two architectures apart has no rank information. nan below two items.

    Raises:
        DataError: A value is not finite, or the lengths differ.
    """
    return _kendall(*check_pair(scores, truth))


def spearman(scores: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's rho (Spearman 1904) of two arrays [n]; conventions of :func:`kendall`."""
    return _spearman(*check_pair(scores, truth))


def group_by_cost(
    costs: ArrayLike,
    connected: ArrayLike,
    minimum: int = ISO_MINIMUM,
    tolerance: float = 0.0,
    *,
    upper: bool = False,
) -> list[NDArray[np.intp]]:
    """Indices of architectures of equal cost, the cheapest group first.

    Args:
        costs: Array [n].
        connected: Booleans [n]; architectures whose output does not see the input are left out.
        minimum: Groups with fewer architectures are left out; 2 is the least that counts.
        tolerance: Within a group costs exceed the lowest by at most this share of it; 0: equal.
        upper: Only groups that cost more than the median of the connected architectures: those
            among which people choose who want the best network they can pay for.
    """
    costs = check_vector(costs, "costs")
    kept = np.flatnonzero(_booleans(connected, costs.size))
    if not kept.size:
        return []
    order = kept[np.argsort(costs[kept], kind="stable")]
    ordered, median = costs[order], np.median(costs[kept])
    groups, start = [], 0
    while start < order.size:
        end = int(np.searchsorted(ordered, ordered[start] * (1 + tolerance), side="right"))
        if end - start >= max(minimum, 2) and (not upper or ordered[start] > median):
            groups.append(np.sort(order[start:end]))
        start = end
    return groups


def iso_cost_tau(
    scores: ArrayLike,
    truth: ArrayLike,
    costs: ArrayLike,
    connected: ArrayLike,
    minimum: int = ISO_MINIMUM,
    tolerance: float = 0.0,
    *,
    upper: bool = False,
) -> IsoCost:
    """Tau-b inside groups of equal cost, averaged with the group sizes as weights.

    Args:
        scores, truth, costs: Arrays [n].
        connected: Booleans [n]; telling dead architectures from working ones is no merit among
            equals.
        minimum, tolerance, upper: See :func:`group_by_cost`.
    """
    scores, truth = check_pair(scores, truth)
    costs = check_vector(costs, "costs", scores.size)
    members = group_by_cost(costs, connected, minimum, tolerance, upper=upper)
    total = sum(indices.size for indices in members)
    if not total:
        return IsoCost(math.nan, 0, 0)
    weighted = sum(indices.size * _kendall(scores[indices], truth[indices]) for indices in members)
    return IsoCost(weighted / total, len(members), total)


BY_PAIRS = 500
"""Up to so many items resampled taus are computed from a matrix of all pairs, all at once."""


def bootstrap_tau(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of tau-b over architectures (Efron 1979).

    Args:
        scores, truth: Arrays [n].
        samples: Number of resamples; each costs one tau of n items (2 ms for 15,625), less up to
            :data:`BY_PAIRS` items.
        seed: Seed of the resampling.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        (low, high); both nan below two items.
    """
    return _percentiles(_resampled_taus(scores, truth, samples, seed, level), level)


def bootstrap_tau_difference(
    scores: ArrayLike,
    others: ArrayLike,
    truth: ArrayLike,
    *,
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of tau-b of ``scores`` less tau-b of ``others``.

    Both are scores of the same architectures and are resampled together: the two taus share most
    of their error, which their own intervals do not show.

    Args:
        scores, others, truth: Arrays [n].
        samples, seed, level: As of :func:`bootstrap_tau`.

    Returns:
        (low, high); both nan below two items.
    """
    ours, theirs = (_resampled_taus(s, truth, samples, seed, level) for s in (scores, others))
    return _percentiles(ours - theirs, level)


def _resampled_taus(
    scores: ArrayLike, truth: ArrayLike, samples: int, seed: int, level: float
) -> Vector:
    scores, truth = check_pair(scores, truth)
    if samples < 1 or not 0 < level < 1:
        raise DataError(
            "a bootstrap interval cannot be made",
            found=f"samples={samples}, level={level}",
            allowed="samples of 1 or more, a level between 0 and 1",
        )
    if scores.size < 2:
        return np.full(1, math.nan)
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(scores.size, size=scores.size) for _ in range(samples))
    if scores.size > BY_PAIRS:
        return np.array([_kendall(scores[indices], truth[indices]) for indices in drawn])
    counts = np.stack([np.bincount(indices, minlength=scores.size) for indices in drawn])
    return _counted_taus(scores, truth, counts.astype(float))


def _counted_taus(scores: Vector, truth: Vector, counts: Vector) -> Vector:
    """Tau-b of each resample, which holds each item as often as its row of ``counts`` says."""
    order = np.sign(scores[:, None] - scores)
    order_true = np.sign(truth[:, None] - truth)

    def sum_pairs(values: Vector) -> Vector:
        summed: Vector = ((counts @ values) * counts).sum(1) / 2
        return summed

    agreeing = sum_pairs(order * order_true)
    untied, untied_true = sum_pairs(np.abs(order)), sum_pairs(np.abs(order_true))
    some = (untied > 0) & (untied_true > 0)
    taus = np.zeros(len(counts))
    taus[some] = agreeing[some] / np.sqrt(untied[some]) / np.sqrt(untied_true[some])
    return np.clip(taus, -1.0, 1.0)


def _percentiles(values: Vector, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _kendall(scores: Vector, truth: Vector) -> float:
    if scores.size < 2:
        return math.nan
    if _constant(scores) or _constant(truth):
        return 0.0
    from scipy import stats  # late: words are checked and completed without it

    return float(stats.kendalltau(scores, truth, variant="b").statistic)


def _spearman(scores: Vector, truth: Vector) -> float:
    if scores.size < 2:
        return math.nan
    if _constant(scores) or _constant(truth):
        return 0.0
    from scipy import stats  # late, as above

    return float(stats.spearmanr(scores, truth).statistic)


def _constant(values: Vector) -> bool:
    return bool((values == values[0]).all())


def check_pair(scores: ArrayLike, truth: ArrayLike) -> tuple[Vector, Vector]:
    """Both as finite float arrays of one length, or a :class:`DataError`."""
    checked = check_vector(scores, "scores")
    return checked, check_vector(truth, "truth", checked.size)


def check_vector(values: ArrayLike, name: str, size: int | None = None) -> Vector:
    """``values`` as a finite float array [size], or a :class:`DataError` that calls it ``name``."""
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers", found=error) from None
    _check_shape(vector, name, size)
    wrong = np.flatnonzero(~np.isfinite(vector))
    if wrong.size:
        raise DataError(
            f"{name} hold {wrong.size} values that are not finite",
            found=f"{vector[wrong[0]]} at position {wrong[0]}",
            fix="score these architectures again, or leave them out",
        )
    return vector


def _booleans(values: ArrayLike, size: int) -> NDArray[np.bool_]:
    vector = np.asarray(values, dtype=np.bool_)
    _check_shape(vector, "connected", size)
    return vector


def _check_shape(vector: NDArray[Any], name: str, size: int | None) -> None:
    if vector.ndim != 1 or (size is not None and vector.size != size):
        raise DataError(
            f"{name} do not fit the ranking",
            found=f"shape {list(vector.shape)}",
            allowed="one dimension" if size is None else f"shape [{size}]",
        )
