"""Scores predicted from scores: a small network learns what supernets say.

One evaluation takes a fraction of a millisecond, so that tens of thousands of architectures can be
compared (Cai et al., Once-for-All, ICLR 2020, appendix). It knows no more than the scores it has
seen, and how well it has learnt them is measured on scores that it has not.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewshot_core.errors import DataError
from fewshot_core.evaluators.base import NAME, EvaluatorContext
from fewshot_core.evaluators.inherited import InheritedWords, make_inherited
from fewshot_core.evaluators.words import Told
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import InheritingSettings
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture, PartEncoding, SearchSpace
from fewshot_core.trust.ranking import kendall

HELD_OUT = 0.2
"""Share of the scored architectures that it does not learn from."""

LEAST = 10
"""Scores without which there is nothing to learn."""


@dataclass(frozen=True)
class PredictorSettings(InheritingSettings):
    """Scores learnt from scores of supernets."""

    name: str = setting("predictor", NAME)
    samples: int = setting(300, "architectures scored by supernets, which it learns from", low=20)


class PredictorWords(InheritedWords):
    """Scores learnt from scores of supernets."""

    def label(self, settings: InheritingSettings, told: Told) -> str:
        return told.measured_label("predicted")

    def meaning(self, settings: InheritingSettings, told: Told) -> str:
        count = told.predictor and told.predictor.get("samples")
        scores = f"{count:,} scores" if isinstance(count, int) else "scores"
        return f"predicted by a small network that learnt from {scores}: {self.weights(told)}"

    def method(self, told: Told) -> str:
        return f"{self.kind(told)} ({told.supernets}, scores predicted)"


@register(
    "evaluator",
    "predictor",
    settings=PredictorSettings,
    about="a small network that learns from the supernets' scores (Cai et al., ICLR 2020)",
    words=PredictorWords(),
    inherits=True,
    measures=True,
)
def make_predictor(settings: PredictorSettings, context: EvaluatorContext) -> PredictorEvaluator:
    """Score ``settings.samples`` random architectures within the limits, and learn.

    The scores are kept in ``predictor-scores.csv``; how well they are learnt stands in
    ``predictor.json``, measured on the fifth of them that was held out.
    """
    from fewshot_core.evaluators._samples import draw_samples  # it imports evaluators

    seed = derive_seed(context.seed, "predictor")
    scores = context.score_and_keep(
        lambda: make_inherited(settings, context),
        draw_samples(context, settings.samples, seed),
        "predictor-scores.csv",
        "scores to learn from",
    )
    learnt = PredictorEvaluator(context.root.space, scores, seed % 2**32)
    figures = learnt.figures
    context.keep("predictor.json", figures.to_json())
    context.tell(
        f"predictor: {figures.samples} scores learnt; on {figures.held_out} held out, tau "
        f"{figures.tau:.2f}, error {figures.error:.3g} where their deviation is "
        f"{figures.spread:.3g}"
    )
    return learnt


@dataclass(frozen=True)
class PredictorFigures:
    """How well scores are predicted that were held out.

    Attributes:
        samples: Scores learnt from.
        held_out: Scores compared with.
        tau: Kendall's rank correlation on those.
        error: Root of the mean squared error on those, in units of the score.
        spread: Standard deviation of those: the error of a predictor that knows their mean alone.
    """

    samples: int
    held_out: int
    tau: float
    error: float
    spread: float

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return asdict(self)


class PredictorEvaluator:
    """A multilayer perceptron over the parts that an architecture has, one input for each.

    Three hidden layers of 100; scores are centred and scaled before, without which it fails to
    converge (the published one adds their mean as a constant).

    Args:
        space: Names the parts of an architecture.
        scores: What it learns from and is measured with.
        seed: Divides the scores and starts the weights.

    Raises:
        DataError: Too few scores, or all are the same.
    """

    def __init__(self, space: SearchSpace, scores: Mapping[Architecture, float], seed: int) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPRegressor

        known = {a: score for a, score in scores.items() if np.isfinite(score)}
        if len(known) < LEAST or len(set(known.values())) < 2:
            raise DataError(
                "an accuracy predictor has nothing to learn from",
                found=f"{len(set(known.values()))} different scores of {len(known)} architectures",
                allowed=f"{LEAST} architectures or more, of different scores",
                fix="raise evaluator.samples, or use evaluator.score=loss",
            )
        architectures = list(known)
        random.Random(seed).shuffle(architectures)
        self._encoding = PartEncoding(space, architectures)
        cut = max(2, round(HELD_OUT * len(architectures)))
        held, learnt = architectures[:cut], architectures[cut:]
        values = np.array([known[a] for a in learnt])
        self._mean, self._scale = float(values.mean()), float(values.std()) or 1.0
        self._model = MLPRegressor(
            hidden_layer_sizes=(100, 100, 100), alpha=1e-2, max_iter=500, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._model.fit(self._inputs(learnt), (values - self._mean) / self._scale)
        truth, guess = np.array([known[a] for a in held]), self.predict(held)
        self.figures = PredictorFigures(
            samples=len(learnt),
            held_out=len(held),
            tau=kendall(guess, truth),
            error=float(np.sqrt(np.mean((guess - truth) ** 2))),
            spread=float(truth.std()),
        )

    def predict(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Predicted scores, ``[n]``."""
        predicted: NDArray[np.float64] = self._model.predict(self._inputs(architectures))
        return self._mean + self._scale * predicted

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return {"score": float(self.predict([architecture])[0])}

    def _inputs(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        return np.array([self._encoding.encode(architecture) for architecture in architectures])
