"""NSGA-II of Optuna: the score against a cost."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class Nsga2Settings(StrategySettings):
    """The population."""

    name: str = setting("nsga2", NAME)
    population: int = setting(30, "architectures alive", low=2)


@register(
    "strategy",
    "nsga2",
    settings=Nsga2Settings,
    about="score against FLOPs, a Pareto front (Deb et al., 2002)",
    fronts=True,
)
def make_nsga2(settings: Nsga2Settings, context: StrategyContext) -> Strategy:
    """A population over a region, with two objectives."""
    from fewshot_core.search.samplers.nsga2 import make_nsga2_sampler
    from fewshot_core.search.samplers.sampled import SampledStrategy

    sampler = make_nsga2_sampler(context.region, settings.population)
    return SampledStrategy(context.region, sampler, context.cost)
