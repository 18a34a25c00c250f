"""What every strategy does, and what it is made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

Accepts = Callable[[Architecture], bool]

NAME = "which strategy: {names}"
"""The help text of the field that names a strategy."""


@dataclass(frozen=True)
class StrategyContext:
    """What a strategy of a search is made from, beside its settings.

    Attributes:
        region: Where to search.
        accepts: The constraint, for strategies that can heed it.
        cost: What a strategy with two objectives minimises beside the score.
        budgets: Whether the evaluator takes budgets. Without, there is nothing to promote.
    """

    region: Region
    accepts: Accepts
    cost: Callable[[Architecture], float]
    budgets: bool = False


class Strategy(ABC):
    """Who asks for the next architecture, in one search.

    It is told every trial once, in the order of completion, and learns from nothing else: not from
    how often it was asked, and not from what it proposed in vain. So a strategy that is told the
    trials of a study stands where the one that made them stood. A higher score is better.

    Attributes:
        directions: Directions of the study, one for each of :meth:`values`; the first is that of
            the score.
    """

    directions: tuple[str, ...] = ("maximize",)

    @abstractmethod
    def ask(self, seed: int) -> Proposal:
        """What to score next.

        Args:
            seed: Seed of everything random in the answer. Asked again with another seed because
                the first answer was infeasible, it answers for the same trial.
        """

    @abstractmethod
    def tell(self, trial: Trial) -> None:
        """Learn from a trial, which need not be of an architecture that was proposed."""

    def values(self, trial: Trial) -> list[float]:
        """What the study keeps of a trial, in the order of ``directions``."""
        return [trial.score]
