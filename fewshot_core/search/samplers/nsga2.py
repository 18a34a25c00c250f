"""NSGA-II of Optuna."""

from __future__ import annotations

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from fewshot_core.search.samplers.sampled import SamplerFactory, free_decisions
from fewshot_core.spaces.region import Region


def make_nsga2_sampler(region: Region, population: int) -> SamplerFactory:
    """Makes NSGA-II samplers (Deb et al., IEEE Trans. Evol. Comput. 2002).

    Generations are counted instead of noted in the trials: those of a sequential search come one
    after the other. So what a sampler answers depends on the completed trials alone.
    """
    space = free_decisions(region)
    parents: list[list[FrozenTrial]] = [[]]  # of each generation; the first has none

    class Nsga2(optuna.samplers.NSGAIISampler):
        def infer_relative_search_space(
            self, study: optuna.Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return space

        def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
            return len(_complete(study)) // population

        def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
            first = generation * population
            return _complete(study)[first : first + population]

        def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
            while len(parents) <= generation:
                selected = self.select_parent(study, len(parents))
                # In an order that does not hang on how the selection breaks ties.
                parents.append(sorted(selected, key=lambda parent: str(parent.params)))
            return parents[generation]

    return lambda seed: Nsga2(seed=seed % 2**32, population_size=population)


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
