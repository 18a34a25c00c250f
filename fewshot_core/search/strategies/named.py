"""Score a list of architectures and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from fewshot_core.search.strategies.base import Strategy
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.space import Architecture


class NamedStrategy(Strategy):
    """Asks for given architectures in their order: those that a differentiable strategy names.

    Args:
        architectures: Not empty. After the last one the first is asked for again.
    """

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        self._named = list(dict.fromkeys(architectures))
        self._told: set[Architecture] = set()

    def ask(self, seed: int) -> Proposal:
        left = (a for a in self._named if a not in self._told)
        return Proposal(next(left, self._named[0]))

    def tell(self, trial: Trial) -> None:
        self._told.add(trial.architecture)
