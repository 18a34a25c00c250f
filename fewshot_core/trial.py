"""What a search asks for and what it gets: proposals and trials. Values; no Optuna, no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fewshot_core.space import Architecture

FULL = 1.0
"""The whole budget. Only what was scored with it can be found."""


@dataclass(frozen=True)
class Proposal:
    """What a strategy asks for.

    Attributes:
        architecture: The architecture.
        budget: The share of an evaluation it is to be scored with, in (0, 1].
    """

    architecture: Architecture
    budget: float = FULL


@dataclass(frozen=True)
class Trial:
    """One scored architecture.

    Attributes:
        number: Place in the order of completion.
        architecture: The architecture.
        score: What its evaluator said.
        metrics: Everything that was measured.
        budget: The share of an evaluation it was scored with.
    """

    number: int
    architecture: Architecture
    score: float
    metrics: Mapping[str, float]
    budget: float = FULL


def full(trials: Iterable[Trial]) -> list[Trial]:
    """The trials with the whole budget; scores of others compare only among themselves."""
    return [trial for trial in trials if trial.budget == FULL]


def best_trial(trials: Iterable[Trial], *, minimise: bool = False) -> Trial:
    """The best of the trials with the whole budget, the earliest among equals."""
    sign = -1.0 if minimise else 1.0
    return max(full(trials), key=lambda trial: (sign * trial.score, -trial.number))
