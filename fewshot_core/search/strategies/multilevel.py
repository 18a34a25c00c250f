"""Level by level, with recurrent controllers and a beam: what can be set."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext


@dataclass(frozen=True)
class MultilevelSettings(StrategySettings):
    """The controllers, and how long each of them learns."""

    name: str = setting("multilevel", NAME)
    lr: float = setting(3.5e-3, "step size of Adam", above=0)
    hidden: int = setting(100, "size of the controllers", low=1)
    entropy: float = setting(1e-3, "weight of the entropy of their choices", low=0)
    level_trials: int = setting(
        100, "that a controller learns from; the last one learns to the end", low=1
    )
    candidates: int = setting(10, "that a controller draws when it has learnt", low=1)
    beam: int = setting(5, "best of them that the next level starts from", low=1)


@register(
    "strategy",
    "multilevel",
    settings=MultilevelSettings,
    about="level by level, recurrent controllers and a beam (Gong et al., ICCV 2019)",
)
def make_multilevel(settings: MultilevelSettings, context: StrategyContext) -> Strategy:
    """Controllers for the levels of a region's space."""
    from fewshot_core.search.strategies._multilevel import MultilevelStrategy

    return MultilevelStrategy(
        context.region,
        context.accepts,
        lr=settings.lr,
        hidden=settings.hidden,
        entropy=settings.entropy,
        level_trials=settings.level_trials,
        candidates=settings.candidates,
        beam=settings.beam,
    )
