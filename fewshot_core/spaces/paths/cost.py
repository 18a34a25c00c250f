"""Every cost equally often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from fewshot_core.errors import RegionError
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.spaces.extremes import descend, extreme
from fewshot_core.spaces.paths.base import POLICY, Cost, PathsContext, SpanningPaths
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

NEAR = 0.02
"""How near to the cost that was drawn an architecture has to be, as a share of it."""


@dataclass(frozen=True)
class CostSettings(PathSettings):
    """The range of costs."""

    policy: str = setting("cost", POLICY)
    low: float | None = setting(
        None, "the least FLOPs that are drawn; none: what the region has", above=0, size=True
    )
    high: float | None = setting(
        None, "the most FLOPs that are drawn; none: what the region has", above=0, size=True
    )

    def check(self, key: str) -> Iterator[str]:
        """A line where the range is empty."""
        if self.low is not None and self.high is not None and self.low > self.high:
            yield f"{key}.low={self.low} must not be above {key}.high={self.high}"


@register(
    "paths",
    "cost",
    settings=CostSettings,
    about="a cost is drawn evenly, then an architecture near it (after AttentiveNAS, CVPR 2021)",
    spans=True,
)
def make_cost(settings: CostSettings, context: PathsContext) -> CostPaths:
    """Paths by cost over a region."""
    return CostPaths(context.region, context.cost, settings.low, settings.high)


@dataclass(frozen=True)
class CostPaths(SpanningPaths):
    """A cost is drawn evenly, then an architecture near it (after AttentiveNAS, CVPR 2021).

    Uniform paths have nearly all the same cost: in the ProxylessNAS space 3 in 100 have less than
    300 million multiply-adds, of at most 607 and at least 103. The architecture is a random one,
    changed decision by decision until its cost is near.

    Args:
        region: Where.
        cost: The cost of an architecture.
        low: The range of costs, in units of ``cost``; None: up to the end of the region's.
        high: The same for its upper end.
    """

    region: Region
    cost: Cost
    low: float | None = None
    high: float | None = None
    paths_per_step: int = field(default=1)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The costs that are drawn from.

        Raises:
            RegionError: No architecture of the region is in the range that was asked for.
        """
        least = self.cost(extreme(self.region, lambda architecture: -self.cost(architecture)))
        most = self.cost(extreme(self.region, self.cost))
        low = least if self.low is None else max(least, self.low)
        high = most if self.high is None else min(most, self.high)
        if low > high:
            raise RegionError(
                f"no architecture of region {self.region.id!r} has such a cost",
                found=f"costs from {least:,.0f} to {most:,.0f}",
                fix="widen paths.low and paths.high",
            )
        return low, high

    def check(self) -> None:
        self.range  # noqa: B018  (it raises where no architecture is in the range)

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [self._near(rng.uniform(*self.range), rng)]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        low, high = self.range  # in as many equal parts as there are architectures
        shares = [(part + rng.random()) / count for part in rng.sample(range(count), count)]
        return [self._near(low + share * (high - low), rng) for share in shares]

    def _near(self, target: float, rng: random.Random) -> Architecture:
        start = self.region.sample(rng)

        def excess(architecture: Architecture) -> float:
            return max(0.0, abs(self.cost(architecture) / target - 1) - NEAR)

        return descend(self.region, start, excess, rng)
