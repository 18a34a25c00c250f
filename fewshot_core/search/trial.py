"""What a search asks for and what it gets: proposals and trials. Values; no Optuna, no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fewshot_core.spaces.space import Architecture

Price = Callable[[Architecture], tuple[float, ...]]
"""What an architecture costs, to be compared figure by figure."""

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


def best_trial(trials: Iterable[Trial], *, cost: Price | None = None, within: float = 0.0) -> Trial:
    """The best of the trials with the whole budget; of equal scores the cheapest, then the first.

    Args:
        trials: One or more with the whole budget.
        cost: Decides among equal scores, as :meth:`fewshot_core.pipeline.run.Run.price`; None:
            the first of them is taken.
        within: By how much a score may be below the best and still count as equal to it. Of those
            the cheapest is taken, and of those that cost the same the best score.
    """
    known = full(trials)
    best = max(trial.score for trial in known)
    equal = [trial for trial in known if trial.score == best or trial.score >= best - within]

    def place(trial: Trial) -> tuple[tuple[float, ...], float, int]:
        return cost(trial.architecture) if cost else (), -trial.score, trial.number

    return min(equal, key=place)


def best_scored(
    scores: Mapping[Architecture, float], cost: Price, within: float = 0.0
) -> Architecture:
    """The same of scores alone, higher is better; one that is no number is the lowest."""
    numbered = [
        Trial(number, architecture, -math.inf if math.isnan(score) else score, {})
        for number, (architecture, score) in enumerate(scores.items())
    ]
    return best_trial(numbered, cost=cost, within=within).architecture
