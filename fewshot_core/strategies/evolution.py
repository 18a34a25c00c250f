"""Regularized evolution as an Optuna sampler."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from fewshot_core.region import Region
from fewshot_core.space import Architecture


class EvolutionSampler(optuna.samplers.BaseSampler):
    """Aging evolution (Real et al., AAAI 2019, algorithm 1).

    The population is the last ``population`` completed trials. A parent is the best of ``sample``
    of them drawn without replacement; the child differs from it in one decision. Until the
    population is full, architectures are random.

    The sampler keeps nothing between calls: it reads its population from the study, so a restart
    loses nothing.
    """

    def __init__(
        self,
        region: Region,
        rng: random.Random,
        *,
        population: int,
        sample: int,
        accepts: Callable[[Architecture], bool] = lambda architecture: True,
    ) -> None:
        self.region = region
        self.rng = rng
        self.population = population
        self.sample = sample
        self.accepts = accepts

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return distributions(self.region)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        alive = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))[-self.population :]
        if len(alive) < self.population:
            return self.region.space.choices(self.region.sample(self.rng))
        best = max if study.direction == optuna.study.StudyDirection.MAXIMIZE else min
        contestants = self.rng.sample(alive, self.sample)
        parent = best(contestants, key=lambda t: t.value if t.value is not None else 0.0)
        architecture = self.region.space.architecture(parent.params)
        return self.region.space.choices(self._child(architecture))

    def _child(self, parent: Architecture) -> Architecture:
        """A neighbour that satisfies the constraint, where a few tries find one."""
        child = self.region.mutate(parent, self.rng)
        for _ in range(50):
            if self.accepts(child):
                break
            child = self.region.mutate(parent, self.rng)
        return child

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise AssertionError("every decision is sampled relatively")


def distributions(region: Region) -> dict[str, BaseDistribution]:
    """The decisions of a region as Optuna distributions."""
    return {
        decision.name: optuna.distributions.CategoricalDistribution(options)
        for decision, options in zip(region.space.decisions, region.allowed, strict=True)
    }
