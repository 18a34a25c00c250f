"""Splitters: they propose how a region is cut into a partition.

A splitter is any callable ``(Region) -> Partition``. These four need nothing but the region;
:class:`fewshot_core.supernet.gradients.ByGradients` looks at a trained supernet.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewshot_core.errors import RegionError
from fewshot_core.recipe.schema import SplitLevel, SplitSettings
from fewshot_core.spaces.region import ENUMERABLE, Partition, Region, RegionTree
from fewshot_core.spaces.space import RANDOM_FEATURE, Option

Splitter = Callable[[Region], Partition]
LearnedSplitter = Callable[[SplitLevel, int], Splitter]

LEARNED = ("gradients",)
"""Splits that can only be made once the supernet of what they cut is trained."""


@dataclass(frozen=True)
class ByDecision:
    """One region for every option of one decision (Zhao et al., ICML 2021, section 3)."""

    decision: str

    def __call__(self, region: Region) -> Partition:
        options = region.options(self.decision)
        return Partition(region, tuple(region.restrict(self.decision, (o,)) for o in options))


@dataclass(frozen=True)
class ByGroups:
    """One region for every group of options of one decision.

    Raises (on call):
        RegionError: The groups miss an option of the region or name one twice.
    """

    decision: str
    groups: tuple[tuple[Option, ...], ...]

    def __call__(self, region: Region) -> Partition:
        here = region.options(self.decision)
        known = region.space.decisions[region.space.position(self.decision)].options
        named = [option for group in self.groups for option in group]
        unknown = [option for option in named if option not in known]
        missing = [option for option in here if option not in named]
        if unknown or missing or len(set(named)) != len(named):
            raise RegionError(
                f"groups of decision {self.decision!r} must name every option once",
                found=[list(group) for group in self.groups],
                allowed=list(here),
            )
        # Options that an earlier cut took away simply drop out of their group.
        cut = [tuple(o for o in group if o in here) for group in self.groups]
        return Partition(region, tuple(region.restrict(self.decision, g) for g in cut if g))


@dataclass(frozen=True)
class ByBands:
    """Cut along a scalar feature: each of the ``cuts`` is the start of a new band."""

    feature: str
    cuts: tuple[float, ...]

    def __call__(self, region: Region) -> Partition:
        ends = [-math.inf, *self.cuts, math.inf]
        bands = [region.band(self.feature, low, high) for low, high in _pairs(ends)]
        # A cut outside a band that an earlier level made leaves nothing on one side.
        bands = [part for part in bands if all(band.low < band.high for band in part.bands)]
        if region.box_size() <= ENUMERABLE:
            bands = [band for band in bands if band.size()]
        return Partition(region, tuple(bands))


@dataclass(frozen=True)
class ByRandom:
    """Equal shares drawn at random: the control, which has no structure to profit from."""

    count: int
    seed: int

    def __call__(self, region: Region) -> Partition:
        cuts = tuple(i / self.count for i in range(1, self.count))
        return ByBands(f"{RANDOM_FEATURE}{self.seed}", cuts)(region)


def make_splitter(
    level: SplitLevel, seed: int, learned: LearnedSplitter | None = None
) -> Splitter | None:
    """The splitter that a recipe's section describes; None for ``none``.

    Args:
        level: The section.
        seed: For splits that draw.
        learned: Makes the splitter of ``gradients``, which looks at a trained supernet.
    """
    if level.by == "none":
        return None
    if level.by == "decision":
        return ByDecision(str(level.decision))
    if level.by == "groups":
        return ByGroups(str(level.decision), tuple(tuple(group) for group in level.groups))
    if level.by == "bands":
        return ByBands(str(level.feature), tuple(level.cuts))
    if level.by == "random":
        return ByRandom(level.count, seed)
    if level.by in LEARNED and learned is not None:
        return learned(level, seed)
    raise RegionError(
        f"unknown split {level.by!r}", allowed="none, decision, groups, bands, random, gradients"
    )


def grow_tree(
    root: Region, settings: SplitSettings, seed: int, learned: LearnedSplitter | None = None
) -> RegionTree:
    """Cut the root as the recipe says, level by level; ``learned`` as in :func:`make_splitter`."""
    tree = RegionTree(root)
    levels: Sequence[SplitLevel] = [settings, *settings.then]
    for depth, level in enumerate(levels):
        splitter = make_splitter(level, seed + depth, learned)
        if splitter is not None:
            tree = tree.grow(splitter)
    return tree


def _pairs(ends: Sequence[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(ends))
