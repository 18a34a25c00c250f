"""Path policies: which architectures a training step uses. Each is a plug-in in its own file."""

from __future__ import annotations

from fewshot_core.errors import RegionError
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.spaces.paths.balanced import BalancedPaths
from fewshot_core.spaces.paths.base import (
    Cost,
    PathBatches,
    PathPolicy,
    Paths,
    PathsContext,
    SpanningPaths,
)
from fewshot_core.spaces.paths.cost import CostPaths
from fewshot_core.spaces.paths.fair import FairPaths
from fewshot_core.spaces.paths.sandwich import SandwichPaths
from fewshot_core.spaces.paths.uniform import UniformPaths
from fewshot_core.spaces.region import Region

__all__ = [
    "BalancedPaths",
    "CostPaths",
    "FairPaths",
    "PathBatches",
    "PathPolicy",
    "Paths",
    "PathsContext",
    "SandwichPaths",
    "SpanningPaths",
    "UniformPaths",
    "make_paths",
]


def make_paths(settings: PathSettings, region: Region, cost: Cost) -> Paths:
    """The policy that a recipe's section describes, over a region.

    Args:
        settings: The section.
        region: Where to draw.
        cost: The cost of an architecture, for policies that look at it.

    Raises:
        RecipeError: There is no such policy.
        RegionError: It does not go with the region, or with batches in parts.
    """
    entry = plugin_of("paths", settings)
    policy: Paths = entry.make(settings, PathsContext(region, cost))
    if settings.together == 1:
        return policy
    if not isinstance(policy, SpanningPaths):
        raise RegionError(
            f"{entry.name} paths train every architecture on the whole batch",
            found=f"paths.together={settings.together}",
            fix="paths.together=1",
        )
    return PathBatches(policy, settings.together)
