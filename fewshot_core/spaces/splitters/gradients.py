"""Options whose gradients agree share a supernet: what can be set."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters.base import (
    BY,
    LearnedLevel,
    Splitter,
    SplitterContext,
    find_divisible,
)


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
