"""Options whose gradients agree share a supernet: what can be set."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.errors import RegionError
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters.base import BY, LearnedLevel, Splitter, SplitterContext


@dataclass(frozen=True)
class GradientsLevel(LearnedLevel):
    """How many regions there are, and how gradients are compared."""

    by: str = setting("gradients", BY)
    samples: int = setting(32, "architectures that every option is tried in", low=1)

    def require(self, region: Region) -> None:
        find_divisible(region, self.count)


@register(
    "splitter",
    "gradients",
    settings=GradientsLevel,
    about="options whose gradients agree stay together (Hu et al., ICLR 2022)",
    learned=True,
    products=True,
)
def make_gradients(level: GradientsLevel, context: SplitterContext) -> Splitter:
    """A cut by gradients of the parent."""
    from fewshot_core.supernet.gradients import ByGradients

    assert context.parent is not None
    assert context.loss is not None
    return ByGradients(context.parent, context.loss, level.count, level.samples, context.seed)


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
