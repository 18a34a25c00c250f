"""REINFORCE."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class ReinforceSettings(StrategySettings):
    """How fast the policy learns."""

    name: str = setting("reinforce", NAME)
    lr: float = setting(0.1, "step size of Adam", above=0)
    decay: float = setting(0.9, "of the average of earlier scores", low=0, below=1)


@register(
    "strategy",
    "reinforce",
    settings=ReinforceSettings,
    about="policy gradient, a softmax for each decision (Zoph and Le, ICLR 2017)",
)
def make_reinforce(settings: ReinforceSettings, context: StrategyContext) -> Strategy:
    """A policy over a region."""
    from fewshot_core.search.samplers import ReinforceSampler, SampledStrategy

    sampler = ReinforceSampler(
        context.region, lr=settings.lr, decay=settings.decay, accepts=context.accepts
    )
    return SampledStrategy(context.region, sampler.seeded)
