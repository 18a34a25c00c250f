"""Uniform random search."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class RandomSettings(StrategySettings):
    """Random search has nothing to set."""

    name: str = setting("random", NAME)


@register(
    "strategy",
    "random",
    settings=RandomSettings,
    about="uniform random search, the baseline",
    foresees=True,
)
def make_random(settings: RandomSettings, context: StrategyContext) -> Strategy:
    """Random search over a region."""
    import optuna

    from fewshot_core.search.samplers import SampledStrategy

    return SampledStrategy(
        context.region, lambda seed: optuna.samplers.RandomSampler(seed=seed % 2**32)
    )
