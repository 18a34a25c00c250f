"""What every evaluator does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from fewshot_core.metrics import Metric
from fewshot_core.spaces.space import Architecture


class Evaluator(Protocol):
    """Scores architectures; the search loop calls it once for each new one."""

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        """Metrics, among them ``score``: the one to maximise."""


@runtime_checkable
class BudgetedEvaluator(Evaluator, Protocol):
    """An evaluator that can spend less on an architecture and then knows less about it.

    Evaluators without :meth:`price` (tables, proxies) know one budget: an evaluation is an
    evaluation.
    """

    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> Mapping[str, float]:
        """The metrics, measured with this share of the whole budget, in (0, 1]."""

    def price(self, budget: float) -> float:
        """What an evaluation with this share costs, in evaluations with the whole budget.

        Not always the share itself: what has to be done for the smallest share, too, counts.
        """


def with_score(metrics: Mapping[str, float], score: Metric) -> dict[str, float]:
    """Add ``score`` to the metrics: one of them, with its sign turned where less is better."""
    return {"score": score.to_score(metrics[score.name]), **metrics}
