"""The tree-structured Parzen estimator of Optuna."""

from __future__ import annotations

import warnings

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from fewshot_core.search.samplers.sampled import SamplerFactory, free_decisions
from fewshot_core.spaces.region import Region


def make_tpe_sampler(region: Region, **options: int) -> SamplerFactory:
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
