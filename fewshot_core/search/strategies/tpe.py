"""The tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class TpeSettings(StrategySettings):
    """Everything is as Optuna has it."""

    name: str = setting("tpe", NAME)


@register(
    "strategy",
    "tpe",
    settings=TpeSettings,
    about="tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)",
)
def make_tpe(settings: TpeSettings, context: StrategyContext) -> Strategy:
    """An estimator over a region."""
    from fewshot_core.search.samplers.sampled import SampledStrategy
    from fewshot_core.search.samplers.tpe import make_tpe_sampler

    return SampledStrategy(context.region, make_tpe_sampler(context.region))
