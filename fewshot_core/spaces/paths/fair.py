"""Every option of every decision in each step."""

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


@dataclass(frozen=True)
class FairSettings(PathSettings):
    """Fair paths have nothing of their own to set."""

    policy: str = setting("fair", POLICY)


@register(
    "paths",
    "fair",
    settings=FairSettings,
    about="every option of every decision in each step (FairNAS, Chu et al., ICCV 2021)",
    needs_products=True,
    spans=True,
)
def make_fair(settings: FairSettings, context: PathsContext) -> FairPaths:
    """Fair paths over a region.

    Raises:
        RegionError: The region has bands, or a batch has parts that options do not share equally.
    """
    paths, together = FairPaths(context.region), settings.together
    if together > 1 and together % paths.paths_per_step:
        raise RegionError(
            "fair paths use every option equally often",
            found=f"paths.together={together}, {paths.paths_per_step} options",
            fix=f"make it a multiple of {paths.paths_per_step}, or use paths=uniform",
        )
    return paths


@dataclass(frozen=True)
class FairPaths(SpanningPaths):
    """Every option of every decision in each step (strict fairness, FairNAS, Chu et al. 2021).

    Each decision runs through a random permutation of its options; a decision with fewer options
    than the largest starts over, so that its options are used equally often give or take one.

    Raises:
        RegionError: The region has bands, which permutations cannot respect.
    """

    region: Region

    def __post_init__(self) -> None:
        if self.region.bands:
            raise RegionError(
                f"fair paths need a region without bands, not {self.region.id!r}",
                fix="use regions.paths=uniform or regions.paths=balanced",
            )

    @property
    def paths_per_step(self) -> int:  # type: ignore[override]
        return max(len(options) for options in self.region.allowed)

    def draw(self, rng: random.Random) -> list[Architecture]:
        return draw_evenly(self.region, self.paths_per_step, rng)

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        return draw_evenly(self.region, count, rng)
