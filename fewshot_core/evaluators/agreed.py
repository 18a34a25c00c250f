"""Scores that all processes agree on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fewshot_core.evaluators.base import BudgetedEvaluator, Evaluator
from fewshot_core.spaces.space import Architecture

BLOCK = 8
"""Architectures that a process scores between two exchanges, where it is known what is asked."""

Owner = Callable[[Architecture], int]


class Exchanging(Protocol):
    """Processes of which each works on its own."""

    size: int
    rank: int

    def exchange(self, mine: dict[Any, Any]) -> dict[Any, Any]:
        """The entries of all processes."""


class AgreedEvaluator(Evaluator, Protocol):
    """An evaluator with the same results on every process."""

    def announce(self, architectures: Sequence[Architecture]) -> None:
        """Say what will be asked for, in this order; what is known can be shared out."""


def agreed(
    evaluator: Evaluator, team: Exchanging | None = None, owner: Owner | None = None
) -> AgreedEvaluator:
    """An evaluator whose results are the same on every process.

    Rounding may differ between processes, and what follows a score must not: trainings need all of
    them. Every process has to ask for the same architectures in the same order.

    Args:
        evaluator: Scores on this process. If it takes budgets, so does what is returned.
        team: Where each process works on its own: the processes. Otherwise all of them score, and
            the main one's result is taken.
        owner: Which process of the team scores an architecture.
    """
    if isinstance(evaluator, BudgetedEvaluator):
        return _AgreedBudgeted(evaluator, team, owner)
    return _Agreed(evaluator, team, owner)


class _Agreed:
    def __init__(self, evaluator: Any, team: Exchanging | None, owner: Owner | None) -> None:
        self._evaluator = evaluator
        self._team, self._owner = team, owner
        self._upcoming: list[Architecture] = []
        self._known: dict[Architecture, Mapping[str, float]] = {}

    def announce(self, architectures: Sequence[Architecture]) -> None:
        if self._team is not None:
            self._upcoming = list(dict.fromkeys(architectures))

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return self._agree(architecture)

    def _agree(self, architecture: Architecture, *budget: float) -> Mapping[str, float]:
        if self._team is None or self._owner is None:
            return _broadcast(self._evaluator.evaluate(architecture, *budget), 0)
        if budget in ((), (1.0,)) and architecture in self._upcoming:
            self._share_out(architecture, self._team, self._owner)
        if budget in ((), (1.0,)) and architecture in self._known:
            return self._known[architecture]
        owner = self._owner(architecture)
        mine = owner == self._team.rank
        return _broadcast(self._evaluator.evaluate(architecture, *budget) if mine else {}, owner)

    def _share_out(self, first: Architecture, team: Exchanging, owner: Owner) -> None:
        """Score the next block of what was announced, each process its own."""
        begin = self._upcoming.index(first)
        block = self._upcoming[begin : begin + BLOCK * team.size]
        self._upcoming = self._upcoming[begin + len(block) :]
        own = [a for a in block if owner(a) == team.rank]
        self._known |= team.exchange({a: dict(self._evaluator.evaluate(a)) for a in own})


class _AgreedBudgeted(_Agreed):
    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> Mapping[str, float]:
        return self._agree(architecture, budget)

    def price(self, budget: float) -> float:
        price: float = self._evaluator.price(budget)
        return price


def _broadcast(metrics: Mapping[str, float], owner: int) -> Mapping[str, float]:
    from accelerate.utils import broadcast_object_list  # not before a recipe is checked

    agreed_on: Mapping[str, float] = broadcast_object_list([dict(metrics)], owner)[0]
    return agreed_on
