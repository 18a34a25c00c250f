"""A region for every group of options of a decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fewshot_core.errors import RegionError
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.space import Option
from fewshot_core.spaces.splitters.base import BY, SplitterContext
from fewshot_core.spaces.splitters.decision import DecisionLevel


@dataclass(frozen=True)
class GroupsLevel(DecisionLevel):
    """Which decision is cut, and how."""

    by: str = setting("groups", BY)
    groups: list[list[Any]] = setting([], "the options of each region")

    def check(self, key: str) -> Iterator[str]:
        """A line for each thing that is missing, or is there twice."""
        yield from super().check(key)
        if len(self.groups) < 2 or not all(self.groups):
            yield (
                f"{key}.by={self.by} needs {key}.groups, at least two lists of options: "
                "[[a, b], [c]]"
            )
        # Options may be of any type, also one that has no hash.
        options = [option for group in self.groups for option in group]
        twice = [option for index, option in enumerate(options) if option in options[:index]]
        if twice:
            yield f"{key}.groups has an option twice: {twice[0]}"


@register(
    "splitter",
    "groups",
    settings=GroupsLevel,
    about="a region for every group of options of a decision",
    products=True,
)
def make_groups(level: GroupsLevel, context: SplitterContext) -> ByGroups:
    """A cut by groups of options."""
    return ByGroups(str(level.decision), tuple(tuple(group) for group in level.groups))


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
