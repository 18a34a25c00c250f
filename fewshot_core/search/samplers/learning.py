"""Samplers that learn from trial to trial instead of reading them all at every question."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from fewshot_core.search.study import distributions
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture


class LearningSampler(optuna.samplers.BaseSampler):
    """An Optuna sampler with a state that is what its study's completed trials make of it.

    It reads the study once, before its first answer, and learns from every later trial when Optuna
    hands it over. So an answer costs the same after ten thousand trials, and a sampler that is made
    anew for a study goes on as the one before would have. One process per study.
    """

    def __init__(self, region: Region, seed: int | None = None) -> None:
        self.region = region
        self.rng = random.Random(seed)
        self._distributions = distributions(region)
        self._read = False

    @abstractmethod
    def learn(self, architecture: Architecture, goodness: float) -> None:
        """Learn from a completed trial; the higher the goodness the better."""

    @abstractmethod
    def draw(self) -> Architecture:
        """The next architecture, from ``self.rng``."""

    def seeded(self, seed: int) -> LearningSampler:
        """This sampler, with the seed of the next answer."""
        self.rng.seed(seed)
        return self

    def reseed_rng(self) -> None:
        self.rng.seed()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not self._read:
            self._read = True
            for earlier in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                self._learn(study, earlier, earlier.values)
        return self.region.space.choices(self.draw())

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if self._read and state == TrialState.COMPLETE:
            self._learn(study, trial, values)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        raise AssertionError("every decision is sampled relatively")

    def _learn(
        self, study: optuna.Study, trial: FrozenTrial, values: Sequence[float] | None
    ) -> None:
        assert values is not None
        sign = 1.0 if study.directions[0] == StudyDirection.MAXIMIZE else -1.0
        self.learn(self.region.space.architecture(trial.params), sign * values[0])
