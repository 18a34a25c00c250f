"""What every evaluator does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fewshot_core.space import Architecture


class Evaluator(Protocol):
    """Scores architectures; the search loop calls it once for each new one."""

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        """Metrics, among them ``score``: the one to maximise."""


def with_score(metrics: Mapping[str, float], score: str) -> dict[str, float]:
    """Add ``score`` to the metrics: the accuracy, or the loss with its sign turned."""
    value = metrics[score]
    return {"score": -value if score == "loss" else value, **metrics}
