"""Shares drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import SplitLevel
from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.space import RANDOM_FEATURE
from fewshot_core.spaces.splitters.bands import ByBands
from fewshot_core.spaces.splitters.base import BY, SplitterContext


@dataclass(frozen=True)
class RandomLevel(SplitLevel):
    """How many regions there are."""

    by: str = setting("random", BY)
    count: int = setting(2, "number of regions", low=2)


@register(
    "splitter",
    "random",
    settings=RandomLevel,
    about="equal shares drawn at random, the control",
)
def make_random(level: RandomLevel, context: SplitterContext) -> ByRandom:
    """A cut at random."""
    return ByRandom(level.count, context.seed)


@dataclass(frozen=True)
class ByRandom:
    """Equal shares drawn at random: the control, which has no structure to profit from."""

    count: int
    seed: int

    def __call__(self, region: Region) -> Partition:
        cuts = tuple(i / self.count for i in range(1, self.count))
        return ByBands(f"{RANDOM_FEATURE}{self.seed}", cuts)(region)
