"""What is known of a metric by its name alone: which way is better, and its unit. No torch."""

from __future__ import annotations

from typing import Any

LOWER_IS_BETTER = frozenset({"loss", "fid", "fid_train", "kid"})
"""Metrics with their sign turned where scores are meant, which are always to be maximised."""

UNITS = {"accuracy": "%"}

SCORES = ("accuracy", "loss")
"""What a task measures that does not say so: classification."""


def goodness(metric: str, value: float) -> float:
    """The value, with its sign turned where less is better."""
    return -value if metric in LOWER_IS_BETTER else value


def turned(column: str, better: str) -> bool:
    """Whether the sign of a column's values is turned before they are ranked.

    Args:
        column: Its name.
        better: ``higher`` or ``lower``; empty: what the name says.
    """
    return better == "lower" if better else column.lower() in LOWER_IS_BETTER


def scores_of(task: Any) -> tuple[str, ...]:
    """The metrics that ``evaluator.score`` may name for a task."""
    scores: tuple[str, ...] = getattr(task, "scores", SCORES)
    return scores


def generates(task: Any) -> bool:
    """Whether the networks of a task make images, which are compared with all real ones."""
    return bool(getattr(task, "generates", False))


def metric_text(task: Any, recipe: Any, metric: str, part: str) -> str:
    """A metric as tables name it.

    Args:
        task: One with a method ``metric_text`` says more than the name: how it was measured.
        recipe: The settings of the run.
        metric: Its name.
        part: ``validation`` for scores of a search, ``test`` for what was retrained.
    """
    own = getattr(task, "metric_text", None)
    text: str = own(recipe, metric, part) if own is not None else metric
    return text
