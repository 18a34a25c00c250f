"""What every strategy does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.space import Architecture

Accepts = Callable[[Architecture], bool]


class Strategy(ABC):
    """Who asks for the next architecture, in one search.

    It is told every trial once, in the order of completion, and learns from nothing else: not from
    how often it was asked, and not from what it proposed in vain. So a strategy that is told the
    trials of a study stands where the one that made them stood.

    Attributes:
        directions: Of the study, one for each of :meth:`values`; the first is that of the score.
    """

    directions: tuple[str, ...] = ("maximize",)

    @property
    def minimise(self) -> bool:
        """Whether a lower score is better."""
        return self.directions[0] == "minimize"

    @abstractmethod
    def ask(self, seed: int) -> Proposal:
        """What to score next.

        Args:
            seed: Of everything random in the answer. Asked again with another seed because the
                first answer was infeasible, it answers for the same trial.
        """

    @abstractmethod
    def tell(self, trial: Trial) -> None:
        """Learn from a trial, which need not be of an architecture that was proposed."""

    def values(self, trial: Trial) -> list[float]:
        """What the study keeps of a trial, in the order of ``directions``."""
        return [trial.score]
