"""Regularized evolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class ReaSettings(StrategySettings):
    """The population and its tournaments."""

    name: str = setting("rea", NAME)
    population: int = setting(30, "architectures alive", low=1)
    sample: int = setting(10, "size of a tournament", low=1)

    def check(self, key: str) -> Iterator[str]:
        """A line where a tournament would be larger than the population."""
        if self.sample > self.population:
            yield (
                f"{key}.sample={self.sample} must not be above {key}.population={self.population}"
            )


@register(
    "strategy",
    "rea",
    settings=ReaSettings,
    about="regularized evolution (Real et al., AAAI 2019)",
)
def make_rea(settings: ReaSettings, context: StrategyContext) -> Strategy:
    """Regularized evolution over a region."""
    from fewshot_core.search.samplers import EvolutionSampler, SampledStrategy

    sampler = EvolutionSampler(
        context.region,
        population=settings.population,
        sample=settings.sample,
        accepts=context.accepts,
    )
    return SampledStrategy(context.region, sampler.seeded)
