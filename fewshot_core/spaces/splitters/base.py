"""What splitters are, and what they are made from.

A splitter is any callable ``(Region) -> Partition``; it proposes how a region is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewshot_core.errors import RegionError
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import SplitLevel
from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from torch import Tensor

    from fewshot_core.supernet import Supernet

Splitter = Callable[[Region], Partition]

BY = "which splitter: {names}"
"""The help text of the field that names a splitter."""


@dataclass(frozen=True)
class SplitterContext:
    """What a splitter is made from, beside its settings.

    Attributes:
        seed: Seed of everything random; another for each level of a tree.
        parent: For splitters that look at it, the trained supernet of the region that is cut. It
            stays as it is.
        loss: For the same, the task's loss of an architecture in a supernet (the parent, or a copy
            of it) on the numbered batch of training images.
    """

    seed: int
    parent: Supernet | None = None
    loss: Callable[[Supernet, Architecture, int], Tensor] | None = None


@dataclass(frozen=True)
class LearnedLevel(SplitLevel):
    """A cut by a splitter that looks at the trained supernet of what it cuts."""

    count: int = setting(2, "number of regions", low=2)

    def require(self, region: Region) -> None:
        """Find out before there is a supernet whether a region can be cut so.

        Raises:
            FewshotError: It cannot; a splitter that can tell says why.
        """
        return


def find_divisible(region: Region, count: int) -> list[str]:
    """Names of the decisions with ``count`` options or more.

    Raises:
        RegionError: There is none.
    """
    names = [
        decision.name
        for decision, allowed in zip(region.space.decisions, region.allowed, strict=True)
        if len(allowed) >= count
    ]
    if not names:
        most = max(len(options) for options in region.allowed)
        raise RegionError(
            f"no decision of region {region.id!r} can be cut into {count} groups",
            allowed=f"split.count of at most {most}",
        )
    return names
