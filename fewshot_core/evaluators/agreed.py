"""Scores that all processes agree on."""

from __future__ import annotations

from collections.abc import Mapping

from accelerate.utils import broadcast_object_list

from fewshot_core.evaluators.base import Evaluator
from fewshot_core.space import Architecture


class AgreedEvaluator:
    """An evaluator whose results are those of the main process, on every process.

    Rounding may differ between processes, and what follows a score must not: trainings need all of
    them. Every process has to ask for the same architectures in the same order.

    Args:
        evaluator: Scores on this process.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        metrics: Mapping[str, float] = broadcast_object_list(
            [dict(self._evaluator.evaluate(architecture))]
        )[0]
        return metrics
