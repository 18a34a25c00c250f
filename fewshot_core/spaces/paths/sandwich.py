"""The largest architecture, the smallest, and some between."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.paths.base import POLICY, Cost, Paths, PathsContext
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture


@dataclass(frozen=True)
class SandwichSettings(PathSettings):
    """How many architectures a step has, and what they learn from."""

    policy: str = setting("sandwich", POLICY)
    count: int = setting(
        4, "architectures of a step, the largest and the smallest among them", low=2
    )
    distill: bool = setting(True, "the largest learns from labels, the others from its outputs")

    @property
    def teaches(self) -> bool:
        return self.distill


@register(
    "paths",
    "sandwich",
    settings=SandwichSettings,
    about="the largest, the smallest and some between in each step (BigNAS, Yu et al., ECCV 2020)",
)
def make_sandwich(settings: SandwichSettings, context: PathsContext) -> SandwichPaths:
    """Sandwich paths over a region."""
    return SandwichPaths(context.region, context.cost, settings.count)


@dataclass(frozen=True)
class SandwichPaths(Paths):
    """The largest architecture first, the smallest last, random ones between (BigNAS, Yu et al.
    2020, section 3.1).

    Between the two ends every other architecture is better than the one and worse than the other,
    so that training both moves all. An objective may let the first teach the others.
    """

    region: Region
    cost: Cost
    paths_per_step: int = 4

    @cached_property
    def ends(self) -> tuple[Architecture, Architecture]:
        """The largest and the smallest architecture of the region, by cost."""
        largest = extreme(self.region, self.cost)
        return largest, extreme(self.region, lambda architecture: -self.cost(architecture))

    def draw(self, rng: random.Random) -> list[Architecture]:
        largest, smallest = self.ends
        between = [self.region.sample(rng) for _ in range(self.paths_per_step - 2)]
        return [largest, *between, smallest]
