"""The schedule of Hyperband: who is scored with how much, and who gets more."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.spaces.space import Architecture


def ladder(least: float, eta: int) -> tuple[float, ...]:
    """The budgets, rising by a factor of ``eta`` to the whole one; none is below ``least``."""
    shares = [1.0]
    # Nine ninths of the budget are the whole, whatever floats make of it.
    while eta ** len(shares) <= (1 + 1e-9) / least:
        shares.insert(0, 1.0 / eta ** len(shares))
    return tuple(shares)


@dataclass(frozen=True)
class Slot:
    """A place in a rung: what is scored there, None for a new architecture, and with how much."""

    architecture: Architecture | None
    budget: float


class Brackets:
    """Hyperband (Li et al., JMLR 2018, algorithm 1), one evaluation at a time.

    Brackets follow each other from the widest, which begins with the lowest budget, to the one
    that gives all its architectures the whole budget, and over again. In a bracket, the best
    ``1/eta`` of a rung are scored again in the next, with ``eta`` times the budget.

    Optuna's pruner of that name is the asynchronous kind: it promotes before a rung is full, and
    draws the bracket from a hash of the study's name and the trial's number.

    Args:
        shares: Rising budgets, the last of them the whole.
        eta: How many architectures compete for a place in the next rung.
    """

    def __init__(self, shares: tuple[float, ...], eta: int) -> None:
        self.shares = shares
        self.eta = eta
        self._bracket = len(shares)
        self._entrants = self._rung = 0
        self._waiting: list[Architecture] = []  # those who were promoted to this rung
        self._results: list[tuple[float, Architecture]] = []
        self._open()

    def slot(self) -> Slot:
        """The place to be filled next."""
        entrant = self._waiting[0] if self._waiting else None
        return Slot(entrant, self.shares[self._rung])

    def fill(self, architecture: Architecture, goodness: float) -> None:
        """What was scored in the place; the higher the goodness the better."""
        self._waiting = self._waiting[1:]
        self._results.append((goodness, architecture))
        if len(self._results) == self._size(self._rung):
            self._promote()

    def _open(self) -> None:
        """Begin the next bracket."""
        last = len(self.shares) - 1
        self._bracket = self._bracket - 1 if self._bracket > 0 else last
        # Its number of architectures: so many that all brackets cost about the same.
        wide = (last + 1) * self.eta**self._bracket
        self._entrants = -(-wide // (self._bracket + 1))
        self._rung = last - self._bracket
        self._waiting, self._results = [], []

    def _size(self, rung: int) -> int:
        steps = rung - (len(self.shares) - 1 - self._bracket)
        return self._entrants // self.eta**steps

    def _promote(self) -> None:
        if self._rung == len(self.shares) - 1:
            self._open()
            return
        self._rung += 1
        # Sorting is stable: of equals the first goes on.
        ranked = sorted(self._results, key=lambda result: -result[0])
        self._waiting = [architecture for _, architecture in ranked[: self._size(self._rung)]]
        self._results = []
