"""Scores from training each architecture from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fewshot_core.evaluators.base import with_score
from fewshot_core.space import Architecture


class StandaloneEvaluator:
    """Trains every architecture on its own; slow, and the nearest thing to the truth.

    Args:
        train: Trains an architecture on the training part and measures it on the validation part.
        score: ``accuracy`` or ``loss``.
    """

    def __init__(
        self, train: Callable[[Architecture], Mapping[str, float]], score: str = "accuracy"
    ) -> None:
        self._train = train
        self._score = score

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return with_score(self._train(architecture), self._score)
