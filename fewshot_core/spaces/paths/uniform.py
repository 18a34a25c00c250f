"""Single paths at random."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fewshot_core.errors import RegionError
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.spaces.paths.base import POLICY, PathsContext, SpanningPaths, draw_evenly
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

DRAWS = 1000
"""Architectures looked at before a region counts as one without a path."""


@dataclass(frozen=True)
class UniformSettings(PathSettings):
    """Which architectures are drawn."""

    policy: str = setting("uniform", POLICY)
    connected: bool = setting(
        False, "only architectures with a path from input to output; others train no shared weights"
    )


@register(
    "paths",
    "uniform",
    settings=UniformSettings,
    about="one architecture a step, uniformly at random (Guo et al., ECCV 2020)",
    spans=True,
)
def make_uniform(settings: UniformSettings, context: PathsContext) -> UniformPaths:
    """Uniform paths over a region."""
    return UniformPaths(context.region, connected=settings.connected)


@dataclass(frozen=True)
class UniformPaths(SpanningPaths):
    """One architecture a step, uniformly at random (single path one-shot, Guo et al. 2020).

    Of several at once, every option of a decision is taken equally often, give or take one, but
    where some are left out.

    Args:
        region: Where.
        connected: Whether architectures without a path from input to output are left out.
    """

    region: Region
    paths_per_step: int = 1
    connected: bool = False

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [self._sample(rng)]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        if self.region.bands or self.connected:  # which permutations do not respect
            return [self._sample(rng) for _ in range(count)]
        return draw_evenly(self.region, count, rng)

    def check(self) -> None:
        self._sample(random.Random(0))

    def _sample(self, rng: random.Random) -> Architecture:
        for _ in range(DRAWS):
            architecture = self.region.sample(rng)
            if not self.connected or self.region.space.connected(architecture) is not None:
                return architecture
        raise RegionError(
            f"no architecture of region {self.region.id!r} was found that has a path from input "
            "to output",
            fix="paths.connected=false",
        )
