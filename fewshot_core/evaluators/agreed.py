"""Scores that all processes agree on."""

from __future__ import annotations

from collections.abc import Mapping

from accelerate.utils import broadcast_object_list

from fewshot_core.evaluators.base import BudgetedEvaluator, Evaluator
from fewshot_core.space import Architecture


def agreed(evaluator: Evaluator) -> Evaluator:
    """An evaluator whose results are those of the main process, on every process.

    Rounding may differ between processes, and what follows a score must not: trainings need all of
    them. Every process has to ask for the same architectures in the same order.

    Args:
        evaluator: Scores on this process. If it takes budgets, so does what is returned.
    """
    if isinstance(evaluator, BudgetedEvaluator):
        return _AgreedBudgeted(evaluator)
    return _Agreed(evaluator)


class _Agreed:
    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return _of_main(self._evaluator.evaluate(architecture))


class _AgreedBudgeted:
    def __init__(self, evaluator: BudgetedEvaluator) -> None:
        self._evaluator = evaluator

    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> Mapping[str, float]:
        return _of_main(self._evaluator.evaluate(architecture, budget))

    def price(self, budget: float) -> float:
        return self._evaluator.price(budget)


def _of_main(metrics: Mapping[str, float]) -> Mapping[str, float]:
    agreed_on: Mapping[str, float] = broadcast_object_list([dict(metrics)])[0]
    return agreed_on
