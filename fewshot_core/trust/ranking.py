"""How well predicted scores rank architectures, measured against their true scores.

Everywhere a higher score means "predicted better" and a higher truth means "better"; all arrays
have shape ``[n]``, one entry per architecture, in the same order. The correlations themselves are
in :mod:`fewshot_core.trust.correlation` and can be imported from here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewshot_core.errors import DataError
from fewshot_core.trust.correlation import (
    ISO_MINIMUM,
    IsoCost,
    Vector,
    bootstrap_tau,
    bootstrap_tau_difference,
    check_pair,
    check_vector,
    group_by_cost,
    iso_cost_tau,
    kendall,
    spearman,
)

__all__ = [
    "ISO_MINIMUM",
    "IsoCost",
    "RandomFigures",
    "RankFigures",
    "bootstrap_tau",
    "bootstrap_tau_difference",
    "group_by_cost",
    "iso_cost_tau",
    "kendall",
    "random_figures",
    "rank_figures",
    "spearman",
]


@dataclass(frozen=True)
class RankFigures:
    """What :func:`rank_figures` measures of one predictor; nan where a figure is undefined.

    Attributes:
        count: Number of architectures.
        tau, spearman: Kendall's tau-b and Spearman's rho over all of them.
        distinct_count: Number of distinct networks.
        tau_distinct, spearman_distinct: The same with one entry per distinct network.
        tau_top10, spearman_top10: The same inside the truly best 10 %.
        tau_top1, spearman_top1: The same inside the truly best 1 %.
        best_true: True score of the predicted best, the mean over exact ties for the best.
        best_true_low, best_true_high: Worst and best true score among these ties.
        best_ties: Number of architectures that share the best predicted score.
        best_possible: The best true score there is.
        iso_cost_tau, iso_cost_groups, iso_cost_count: See :class:`IsoCost`.
        upper_tau, upper_groups, upper_count: The same in the upper half by cost, the groups that
            cost more than the median architecture.
    """

    count: int
    tau: float
    spearman: float
    distinct_count: int
    tau_distinct: float
    spearman_distinct: float
    tau_top10: float
    spearman_top10: float
    tau_top1: float
    spearman_top1: float
    best_true: float
    best_true_low: float
    best_true_high: float
    best_ties: int
    best_possible: float
    iso_cost_tau: float
    iso_cost_groups: int
    iso_cost_count: int
    upper_tau: float
    upper_groups: int
    upper_count: int

    def to_json(self) -> dict[str, float | int | None]:
        """Field -> value; None for nan, which JSON cannot write."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class RandomFigures:
    """The figures of random scores: mean and sample standard deviation over seeds."""

    seeds: int
    mean: RankFigures
    std: RankFigures


def rank_figures(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    costs: ArrayLike,
    connected: ArrayLike,
    canonical: Sequence[Hashable],
    iso_minimum: int = ISO_MINIMUM,
    tolerance: float = 0.0,
) -> RankFigures:
    """All figures of one predictor.

    Args:
        scores, truth, costs: Arrays [n], n at least 1.
        connected: Booleans [n]; see :func:`iso_cost_tau`.
        canonical: n ids, equal for architectures that are the same network. For the distinct
            figures each id counts once, with the mean score and the mean truth of its class.
        iso_minimum, tolerance: What a group of equal cost is; see :func:`group_by_cost`.

    Raises:
        DataError: No architecture, a value that is not finite, or lengths that differ.
    """
    scores, truth = check_pair(scores, truth)
    if not scores.size:
        raise DataError("a ranking needs one architecture or more", found="none")
    classes = _classes(canonical, scores.size)
    distinct_scores, distinct_truth = _class_means(scores, classes), _class_means(truth, classes)
    top10, top1 = _top(truth, percent=10), _top(truth, percent=1)
    best = truth[scores == scores.max()]
    equal, upper = (
        iso_cost_tau(scores, truth, costs, connected, iso_minimum, tolerance, upper=half)
        for half in (False, True)
    )
    return RankFigures(
        count=scores.size,
        tau=kendall(scores, truth),
        spearman=spearman(scores, truth),
        distinct_count=distinct_scores.size,
        tau_distinct=kendall(distinct_scores, distinct_truth),
        spearman_distinct=spearman(distinct_scores, distinct_truth),
        tau_top10=kendall(scores[top10], truth[top10]),
        spearman_top10=spearman(scores[top10], truth[top10]),
        tau_top1=kendall(scores[top1], truth[top1]),
        spearman_top1=spearman(scores[top1], truth[top1]),
        best_true=float(best.min() + (best - best.min()).mean()),  # exact when all are equal
        best_true_low=float(best.min()),
        best_true_high=float(best.max()),
        best_ties=best.size,
        best_possible=float(truth.max()),
        iso_cost_tau=equal.tau,
        iso_cost_groups=equal.groups,
        iso_cost_count=equal.architectures,
        upper_tau=upper.tau,
        upper_groups=upper.groups,
        upper_count=upper.architectures,
    )


def random_figures(
    truth: ArrayLike,
    *,
    costs: ArrayLike,
    connected: ArrayLike,
    canonical: Sequence[Hashable],
    seeds: int = 5,
    iso_minimum: int = ISO_MINIMUM,
    tolerance: float = 0.0,
) -> RandomFigures:
    """The random baseline: :func:`rank_figures` of random permutations, seeds 0 to ``seeds - 1``.

    Equal networks get independent scores, as they do from a noisy evaluator. The counts do not
    depend on the seed; their standard deviation is 0. With one seed the others' is nan.
    """
    if seeds < 1:
        raise DataError("the random baseline needs one seed or more", found=seeds)
    truth = check_vector(truth, "truth")
    runs = [
        rank_figures(
            np.random.default_rng(seed).permutation(truth.size),
            truth,
            costs=costs,
            connected=connected,
            canonical=canonical,
            iso_minimum=iso_minimum,
            tolerance=tolerance,
        )
        for seed in range(seeds)
    ]
    mean: dict[str, Any] = {}
    std: dict[str, Any] = {}
    for field in fields(RankFigures):
        values = [getattr(run, field.name) for run in runs]
        if isinstance(values[0], int):  # a count, the same for every seed: permutations never tie
            mean[field.name], std[field.name] = values[0], 0
        else:
            mean[field.name] = float(np.mean(values))
            std[field.name] = float(np.std(values, ddof=1)) if seeds > 1 else math.nan
    return RandomFigures(seeds, RankFigures(**mean), RankFigures(**std))


def _classes(canonical: Sequence[Hashable], size: int) -> NDArray[np.intp]:
    """Number the ids 0, 1, ... by first appearance."""
    if len(canonical) != size:
        raise DataError(
            "canonical ids do not fit the ranking", found=len(canonical), allowed=f"{size} ids"
        )
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in canonical], dtype=np.intp)


def _class_means(values: Vector, classes: NDArray[np.intp]) -> Vector:
    """The mean value of each class, such that classes of equal values get equal means.

    A plain sum would round differently for classes of different size or order, and an exact tie
    between two networks would become a random preference. So sum in sorted order, from the minimum.
    """
    order = np.lexsort((values, classes))
    values, classes = values[order], classes[order]
    sizes = np.bincount(classes)
    low = values[np.cumsum(sizes) - sizes]
    excess = np.bincount(classes, weights=values - low[classes])
    return cast(Vector, low + excess / sizes)


def _top(truth: Vector, *, percent: int) -> NDArray[np.intp]:
    """Indices of the truly best ``percent`` %, rounded up; ties at the edge in the given order."""
    size = -(-truth.size * percent // 100)  # whole numbers: 70 * 0.1 is 7.000000000000001
    return np.argsort(-truth, kind="stable")[:size]
