"""Scores from training each architecture from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fewshot_core.evaluators.base import with_score
from fewshot_core.metrics import ACCURACY, Metric
from fewshot_core.spaces.space import Architecture


class StandaloneEvaluator:
    """Trains every architecture on its own; slow, and the nearest thing to the truth.

    Args:
        train: Trains an architecture on the training part, for this share of the epochs, and
            measures it on the validation part. Every share is a training of its own, with the
            whole schedule of learning rates.
        score: The metric that is the score.
    """

    def __init__(
        self, train: Callable[[Architecture, float], Mapping[str, float]], score: Metric = ACCURACY
    ) -> None:
        self._train = train
        self._score = score

    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> Mapping[str, float]:
        return with_score(self._train(architecture, budget), self._score)

    def price(self, budget: float) -> float:
        return budget  # measuring takes no time beside training
