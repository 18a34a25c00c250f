"""Every value of a feature equally often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from fewshot_core.errors import RegionError
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.spaces.paths.base import POLICY, PathsContext, SpanningPaths
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture

POOL = 20_000
"""Random architectures that stand for a region too large to enumerate."""


@dataclass(frozen=True)
class BalancedSettings(PathSettings):
    """What the balance is over."""

    policy: str = setting("balanced", POLICY)
    feature: str = setting("nonlinear", "what paths are balanced over")

    def check(self, key: str) -> Iterator[str]:
        """A line where no feature is named."""
        if not self.feature:
            yield f"{key}.policy={self.policy} needs {key}.feature"


@register(
    "paths",
    "balanced",
    settings=BalancedSettings,
    about="every value of a feature equally often (the idea of EFS-NAS, AAAI 2025)",
    spans=True,
)
def make_balanced(settings: BalancedSettings, context: PathsContext) -> BalancedPaths:
    """Balanced paths over a region."""
    return BalancedPaths(context.region, settings.feature)


@dataclass(frozen=True)
class BalancedPaths(SpanningPaths):
    """Every value of a feature equally often, then uniform among the architectures that have it.

    Uniform paths meet mostly middling architectures; the extremes, where the best ones often are,
    train seldom. (The idea of balanced sampling in EFS-NAS, AAAI 2025.)
    """

    region: Region
    feature: str
    paths_per_step: int = field(default=1)

    @cached_property
    def _by_value(self) -> list[list[Architecture]]:
        if self.region.box_size() <= ENUMERABLE:
            members = list(self.region.enumerate())
        else:
            rng = random.Random(0)
            members = [self.region.sample(rng) for _ in range(POOL)]
        groups: dict[float, list[Architecture]] = {}
        for architecture in members:
            value = self.region.space.feature(self.feature, architecture)
            groups.setdefault(value, []).append(architecture)
        if not groups:
            raise RegionError(f"region {self.region.id!r} holds no architecture")
        return [groups[value] for value in sorted(groups)]

    def check(self) -> None:
        self.region.space.feature(self.feature, self.region.sample(random.Random(0)))

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [rng.choice(rng.choice(self._by_value))]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        groups = self._by_value
        values: list[int] = []
        while len(values) < count:
            values += rng.sample(range(len(groups)), len(groups))
        return [rng.choice(groups[value]) for value in values[:count]]
