"""Strategies: who asks for the next architecture.

Each is told every trial of the search once and learns from nothing else, so a killed search
continues as if it had not been killed: see
:class:`fewshot_core.search.strategies.base.Strategy`. Most
are Optuna samplers, ours (:mod:`fewshot_core.search.samplers`) or Optuna's. Strategies see
architectures and scores, never weights. Each is a plug-in in its own file.
"""

from __future__ import annotations

from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import Accepts, Strategy, StrategyContext

__all__ = [
    "Accepts",
    "Strategy",
    "StrategyContext",
    "make_strategy",
]


def make_strategy(settings: StrategySettings, context: StrategyContext) -> Strategy:
    """The strategy that the settings name, new, for one search.

    Raises:
        RecipeError: There is no such strategy, or it needs a package that is not installed.
    """
    strategy: Strategy = plugin_of("strategy", settings).make(settings, context)
    return strategy
