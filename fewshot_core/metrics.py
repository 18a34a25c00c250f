"""Metrics: which way is better, their unit, and what tables call them. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True)
class Metric:
    """Something that is measured on a trained network.

    Attributes:
        name: What recipes, files and dictionaries of metrics call it.
        better: ``higher`` or ``lower``.
        unit: ``%`` for a share of the images that it is measured on; empty: none.
        text: What tables call it; empty: its name.
        score: Whether ``evaluator.score`` may name it.
        beside: Whether reports show it beside the metric that networks are compared by.
    """

    name: str
    better: str = HIGHER
    unit: str = ""
    text: str = ""
    score: bool = True
    beside: bool = False

    @property
    def lower(self) -> bool:
        """Whether less is better."""
        return self.better == LOWER

    def to_score(self, value: float) -> float:
        """The value, with its sign turned where less is better: a score is to be maximised."""
        return -value if self.lower else value


ACCURACY, LOSS = Metric("accuracy", unit="%"), Metric("loss", LOWER)
CLASSIFICATION = (ACCURACY, LOSS)
"""What is measured on classifiers."""


def direction_of(column: str, metrics: Iterable[Metric]) -> str:
    """``lower`` where the column of a table is named as a metric of which less is better."""
    return LOWER if column.lower() in {m.name for m in metrics if m.lower} else HIGHER
