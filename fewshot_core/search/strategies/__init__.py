"""Strategies: who asks for the next architecture.

Each is told every trial of the search once and learns from nothing else, so a killed search
continues as if it had not been killed: see
:class:`fewshot_core.search.strategies.base.Strategy`. Those of our own are Optuna samplers like
Optuna's. Strategies see architectures and scores, never weights.
"""

from __future__ import annotations

from collections.abc import Callable

import optuna

from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe.check import SEARCHING
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import Accepts, Strategy
from fewshot_core.search.strategies.brackets import ladder
from fewshot_core.search.strategies.evolution import EvolutionSampler
from fewshot_core.search.strategies.hyperband import BohbStrategy, HyperbandStrategy
from fewshot_core.search.strategies.multilevel import MultilevelStrategy
from fewshot_core.search.strategies.optuna_samplers import nsga2, tpe
from fewshot_core.search.strategies.reinforce import ReinforceSampler
from fewshot_core.search.strategies.sampled import SampledStrategy, SamplerFactory
from fewshot_core.search.strategies.smac import SmacStrategy
from fewshot_core.search.trial import FULL
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

__all__ = [
    "PROMOTING",
    "SEARCHING",
    "Accepts",
    "EvolutionSampler",
    "ReinforceSampler",
    "SampledStrategy",
    "Strategy",
    "make_strategy",
]

PROMOTING = ("hyperband", "bohb")
"""Strategies that ask for scores with a part of the budget."""

CANDIDATES = 64
"""Samples of BOHB's model, of which the best is taken (Falkner et al. 2018, appendix)."""


def make_strategy(
    settings: StrategySettings,
    region: Region,
    accepts: Accepts,
    *,
    budgets: bool = False,
    cost: Callable[[Architecture], float] | None = None,
    direction: str = "maximize",
) -> Strategy:
    """The strategy that the settings name, for one search.

    Args:
        settings: Its name and what it is told.
        region: Where to search.
        accepts: The constraint, for strategies that can heed it.
        budgets: Whether the evaluator takes budgets. Without, there is nothing to promote.
        cost: What a two-objective strategy minimises beside the score.
        direction: Of the score, ``maximize`` or ``minimize``.

    Raises:
        RecipeError: Unknown strategy, or it needs a package that is not installed.
    """
    shares = ladder(settings.least, settings.eta) if budgets else (FULL,)
    name = settings.name
    if name == "hyperband":
        return HyperbandStrategy(region, shares, settings.eta, direction)
    if name == "bohb":
        model = tpe(region, n_startup_trials=1, n_ei_candidates=CANDIDATES)
        share = settings.random_share
        return BohbStrategy(region, shares, settings.eta, model, share, direction)
    if name == "smac":
        return SmacStrategy(region, accepts, direction)
    if name == "nsga2":
        if cost is None:
            raise ValueError("nsga2 needs a cost")
        sampler = nsga2(region, settings.population)
        return SampledStrategy(region, sampler, (direction, "minimize"), cost)
    if name == "multilevel":
        return MultilevelStrategy(region, settings, accepts, direction)
    return SampledStrategy(region, _sampler(settings, region, accepts), (direction,))


def _sampler(settings: StrategySettings, region: Region, accepts: Accepts) -> SamplerFactory:
    if settings.name == "random":
        return lambda seed: optuna.samplers.RandomSampler(seed=seed % 2**32)
    if settings.name == "rea":
        return EvolutionSampler(
            region, population=settings.population, sample=settings.sample, accepts=accepts
        ).seeded
    if settings.name == "reinforce":
        return ReinforceSampler(
            region, lr=settings.lr, decay=settings.decay, accepts=accepts
        ).seeded
    if settings.name == "tpe":
        return tpe(region)
    raise RecipeError(
        f"unknown strategy {settings.name!r}",
        allowed=", ".join(SEARCHING),
        fix=nearest(settings.name, SEARCHING) or None,
    )
