"""Two methods over the same seeds: the mean difference, its interval, and a test of it.

A seed gives both methods the same initial weights, order of images and draws, so their values
belong together. The test is Student's for paired samples, two-sided (scipy.stats.ttest_rel);
several of them are corrected by Holm (1979, Scandinavian Journal of Statistics 6).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

LEAST = 3
"""Common seeds below which nothing is tested: with two, one degree of freedom is left."""

FEW = 6
"""Common seeds below which only large differences can show, as readers are to be told."""

LEVEL = 0.95
"""Of intervals."""


@dataclass(frozen=True)
class Paired:
    """A difference, second minus first.

    Attributes:
        seeds: Number of common seeds.
        mean: The mean difference; nan without a common seed.
        low: The lower end of its 95 % interval; nan where nothing was tested.
        high: The upper end.
        p: The p value, not corrected; nan where nothing was tested.
        why: Why nothing was tested; empty: it was.
    """

    seeds: int
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    why: str = ""

    @property
    def tested(self) -> bool:
        """Whether there is a p value."""
        return not self.why


def compare_paired(first: Mapping[int, float], second: Mapping[int, float]) -> Paired:
    """Compare values by seed.

    Args:
        first: The value of each seed of the first method.
        second: Those of the second one.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return Paired(0, why="no common seed")
    a, b = (np.array([values[seed] for seed in seeds]) for values in (first, second))
    mean = float(np.mean(b - a))
    if len(seeds) < LEAST:
        return Paired(len(seeds), mean, why=f"too few common seeds (least: {LEAST})")
    if np.ptp(b - a) <= 1e-12 * max(1.0, float(np.abs([a, b]).max())):
        equal = "no difference at any seed" if abs(mean) <= 1e-12 else "the same at every seed"
        return Paired(len(seeds), mean, why=equal)
    result = ttest_rel(b, a)
    interval = result.confidence_interval(LEVEL)
    p, low, high = float(result.pvalue), float(interval.low), float(interval.high)
    return Paired(len(seeds), mean, low, high, p)


def correct_by_holm(values: Sequence[float]) -> list[float]:
    """P values corrected for being several, in their order; nan stays and does not count."""
    known = sorted((value, place) for place, value in enumerate(values) if not math.isnan(value))
    corrected, largest = [math.nan] * len(values), 0.0
    for rank, (value, place) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - rank)))
        corrected[place] = largest
    return corrected
