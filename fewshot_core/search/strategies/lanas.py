"""Latent-action tree search."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class LanasSettings(StrategySettings):
    """The tree, and how much it explores."""

    name: str = setting("lanas", NAME)
    initial: int = setting(20, "random architectures before the first tree", low=2)
    height: int = setting(5, "cuts between the root and a leaf", low=1, high=20)
    exploration: float = setting(
        0.03, "constant of the upper confidence bound, a share of the range of scores", low=0
    )
    least: int = setting(3, "trials of a leaf, at least", low=1)


@register(
    "strategy",
    "lanas",
    settings=LanasSettings,
    about="tree search over linear cuts of the space (LaNAS: Wang et al., TPAMI 2021)",
)
def make_lanas(settings: LanasSettings, context: StrategyContext) -> Strategy:
    """Latent-action tree search over a region."""
    from fewshot_core.search.samplers import LatentActionSampler, SampledStrategy

    sampler = LatentActionSampler(
        context.region,
        initial=settings.initial,
        height=settings.height,
        exploration=settings.exploration,
        least=settings.least,
        accepts=context.accepts,
    )
    return SampledStrategy(context.region, sampler.seeded)
