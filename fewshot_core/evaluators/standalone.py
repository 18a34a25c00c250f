"""Scores from training each architecture from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from fewshot_core.evaluators.base import NAME, EvaluatorContext, with_score
from fewshot_core.evaluators.words import Told, Words
from fewshot_core.metrics import ACCURACY, Metric
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import MeasuringSettings
from fewshot_core.spaces.space import Architecture


@dataclass(frozen=True)
class StandaloneSettings(MeasuringSettings):
    """Scores of short trainings from scratch."""

    name: str = setting("standalone", NAME)
    epochs: float = setting(
        5.0, "passes over the training images, other settings of `retrain`", above=0
    )


class StandaloneWords(Words):
    """Scores of short trainings from scratch."""

    training: ClassVar[str] = "to train the networks that are scored"
    audited: ClassVar[bool] = False  # which is such a training, too

    def label(self, settings: StandaloneSettings, told: Told) -> str:
        return told.measured_label(f"{settings.epochs:g} epochs")

    def meaning(self, settings: StandaloneSettings, told: Told) -> str:
        return f"{told.measured()} with weights trained from scratch for {settings.epochs:g} epochs"

    def method(self, told: Told) -> str:
        return "neural architecture search by short trainings from scratch"


@register(
    "evaluator",
    "standalone",
    settings=StandaloneSettings,
    about="trains every network from scratch for a few epochs",
    words=StandaloneWords(),
    measures=True,
    budgets=True,
    trains=True,
)
def make_standalone(settings: StandaloneSettings, context: EvaluatorContext) -> StandaloneEvaluator:
    """An evaluator that trains."""
    return StandaloneEvaluator(
        lambda architecture, share: context.train(architecture, share * settings.epochs),
        context.metric(settings.score),
    )


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
