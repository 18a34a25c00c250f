"""Single paths at random."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import PathSettings
from fewshot_core.spaces.paths.base import POLICY, PathsContext, SpanningPaths, draw_evenly
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture


@dataclass(frozen=True)
class UniformSettings(PathSettings):
    """Uniform paths have nothing of their own to set."""

    policy: str = setting("uniform", POLICY)


@register(
    "paths",
    "uniform",
    settings=UniformSettings,
    about="one architecture a step, uniformly at random (Guo et al., ECCV 2020)",
    spans=True,
)
def make_uniform(settings: UniformSettings, context: PathsContext) -> UniformPaths:
    """Uniform paths over a region."""
    return UniformPaths(context.region)


@dataclass(frozen=True)
class UniformPaths(SpanningPaths):
    """One architecture a step, uniformly at random (single path one-shot, Guo et al. 2020).

    Of several at once, every option of a decision is taken equally often, give or take one.
    """

    region: Region
    paths_per_step: int = 1

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [self.region.sample(rng)]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        if self.region.bands:  # which permutations do not respect
            return [self.region.sample(rng) for _ in range(count)]
        return draw_evenly(self.region, count, rng)
