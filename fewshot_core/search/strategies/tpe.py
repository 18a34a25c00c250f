"""The tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, StrategyContext
from fewshot_core.search.strategies.sampled import (
    SampledStrategy,
    SamplerFactory,
    free_decisions,
)
from fewshot_core.spaces.region import Region


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
def make_tpe(settings: TpeSettings, context: StrategyContext) -> SampledStrategy:
    """An estimator over a region."""
    return SampledStrategy(context.region, tpe_sampler(context.region))


def tpe_sampler(region: Region, **options: int) -> SamplerFactory:
    """Makes tree-structured Parzen estimators (Bergstra et al., NeurIPS 2011)."""
    space = free_decisions(region)

    class Tpe(optuna.samplers.TPESampler):
        def infer_relative_search_space(
            self, study: optuna.Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return space  # Optuna would gather it from all the trials

    def make(seed: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Jointly, because the effect of an edge's operation depends on the other edges. Nobody
            # else asks at the same time, so there is nothing to lie about.
            return Tpe(seed=seed % 2**32, multivariate=True, constant_liar=False, **options)

    return make
