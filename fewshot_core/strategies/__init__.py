"""Strategies: who asks for the next architecture.

Each is an Optuna sampler that is built anew for every trial from the strategy's settings and a
seed, and reads everything else from the study. A killed search thus continues as if it had not
been killed. Strategies see architectures and scores, never weights.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable

import optuna

from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.region import Region
from fewshot_core.space import Architecture
from fewshot_core.strategies.evolution import EvolutionSampler, distributions

Accepts = Callable[[Architecture], bool]
SamplerFactory = Callable[[int], optuna.samplers.BaseSampler]

STRATEGIES = {
    "random": "uniform random search, the baseline",
    "evolution": "regularized evolution (Real et al., AAAI 2019)",
    "tpe": "tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)",
}
"""Names for `strategy=` and what they are."""


def make_sampler_factory(
    settings: StrategySettings, region: Region, accepts: Accepts
) -> SamplerFactory:
    """A function from a seed to the sampler of one trial.

    Raises:
        RecipeError: Unknown strategy.
    """
    if settings.name == "random":
        return lambda seed: optuna.samplers.RandomSampler(seed=seed % 2**32)
    if settings.name == "evolution":
        return lambda seed: EvolutionSampler(
            region,
            random.Random(seed),
            population=settings.population,
            sample=settings.sample,
            accepts=accepts,
        )
    if settings.name == "tpe":
        return _tpe
    raise RecipeError(
        f"unknown strategy {settings.name!r}",
        allowed=", ".join(STRATEGIES),
        fix=nearest(settings.name, STRATEGIES) or None,
    )


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Jointly, because the effect of an edge's operation depends on the other edges.
        return optuna.samplers.TPESampler(seed=seed % 2**32, multivariate=True)


__all__ = [
    "STRATEGIES",
    "EvolutionSampler",
    "SamplerFactory",
    "distributions",
    "make_sampler_factory",
]
