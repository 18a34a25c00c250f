"""Splitters: they propose how a region is cut. Each is a plug-in in its own file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.schema import SplitLevel, SplitSettings
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.splitters.bands import ByBands
from fewshot_core.spaces.splitters.base import LearnedLevel, Splitter, SplitterContext
from fewshot_core.spaces.splitters.decision import ByDecision
from fewshot_core.spaces.splitters.groups import ByGroups
from fewshot_core.spaces.splitters.random import ByRandom

__all__ = [
    "ByBands",
    "ByDecision",
    "ByGroups",
    "ByRandom",
    "LearnedLevel",
    "Splitter",
    "SplitterContext",
    "grow_tree",
    "make_splitter",
]


def make_splitter(level: SplitLevel, context: SplitterContext) -> Splitter | None:
    """The splitter that a recipe's section describes; None where it leaves the region whole.

    Raises:
        RecipeError: There is no such splitter.
    """
    splitter: Splitter | None = plugin_of("splitter", level).make(level, context)
    return splitter


def grow_tree(root: Region, settings: SplitSettings, context: SplitterContext) -> RegionTree:
    """Cut the root as the recipe says, level by level.

    Args:
        root: The whole space.
        settings: The section ``split``.
        context: The context of the first level; every further one has the next seed.
    """
    tree = RegionTree(root)
    levels: Sequence[SplitLevel] = [settings, *settings.then]
    for depth, level in enumerate(levels):
        splitter = make_splitter(level, replace(context, seed=context.seed + depth))
        if splitter is not None:
            tree = tree.grow(splitter)
    return tree
