"""Any sampler of Optuna as a strategy."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from fewshot_core.search.strategies.base import Strategy
from fewshot_core.search.study import distributions
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

SamplerFactory = Callable[[int], optuna.samplers.BaseSampler]


class SampledStrategy(Strategy):
    """Asks a sampler, which looks at a study of its own in memory.

    That study holds the same trials as the one on disk. Samplers write to their study, and read it
    at every question; with a copy in memory both cost microseconds, and nothing that is only on
    its way, or infeasible, gets into the file.

    Args:
        region: Where to search.
        make_sampler: From a seed to the sampler that answers one question.
        cost: A second value, which is minimised; None: the score is the only one.
    """

    def __init__(
        self,
        region: Region,
        make_sampler: SamplerFactory,
        cost: Callable[[Architecture], float] | None = None,
    ) -> None:
        self.directions = ("maximize",) if cost is None else ("maximize", "minimize")
        self._region = region
        self._make_sampler = make_sampler
        self._cost = cost
        self._distributions = distributions(region)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(directions=list(self.directions))
        self._asked: optuna.Trial | None = None

    def values(self, trial: Trial) -> list[float]:
        values = super().values(trial)
        return values if self._cost is None else [*values, self._cost(trial.architecture)]

    def ask(self, seed: int) -> Proposal:
        self._forget()
        self._study.sampler = self._make_sampler(seed)
        self._asked = self._study.ask(self._distributions)
        return Proposal(self._region.space.architecture(self._asked.params))

    def tell(self, trial: Trial) -> None:
        choices, values = self._region.space.choices(trial.architecture), self.values(trial)
        if self._asked is None:  # a trial of earlier
            frozen = create_trial(values=values, params=choices, distributions=self._distributions)
            self._study.add_trial(frozen)
            return
        if self._asked.params != choices:  # drawn for a constraint; the sampler has to know
            self._forget()
            self._study.enqueue_trial(choices)
            self._asked = self._study.ask(self._distributions)
        self._study.tell(self._asked, values)
        self._asked = None

    def _forget(self) -> None:
        if self._asked is not None:
            self._study.tell(self._asked, state=TrialState.FAIL)
            self._asked = None


def free_decisions(region: Region) -> dict[str, BaseDistribution]:
    """The decisions that have a choice, by name; Optuna's samplers draw no others together."""
    space = distributions(region).items()
    return {name: options for name, options in space if not options.single()}
