from __future__ import annotations

import random

import pytest

from fewshot_core.errors import DataError
from fewshot_core.evaluators.predictor import PredictorEvaluator
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import toy_space
from fewshot_core.trust.ranking import kendall

SPACE = toy_space(*[4] * 12)
WEIGHTS = [random.Random(3).uniform(-1, 1) for _ in range(12)]


def truth(architecture: Architecture) -> float:
    pairs = zip(WEIGHTS, architecture.choices, strict=True)
    return 90 + sum(weight * float(choice) for weight, choice in pairs)


def scores(count: int, seed: int = 0) -> dict[Architecture, float]:
    rng = random.Random(seed)
    return {a: truth(a) for a in (SPACE.sample(rng) for _ in range(count))}


def test_it_learns_what_can_be_learnt() -> None:
    predictor = PredictorEvaluator(SPACE, scores(300), seed=1)
    assert predictor.figures.samples == 240
    assert predictor.figures.held_out == 60
    assert predictor.figures.tau > 0.7
    assert predictor.figures.error < 0.5 * predictor.figures.spread
    others = scores(200, seed=9)
    predicted = [predictor.evaluate(a)["score"] for a in others]
    assert kendall(predicted, list(others.values())) == pytest.approx(
        predictor.figures.tau, abs=0.1
    )


def test_scores_that_say_nothing_are_not_predicted() -> None:
    rng = random.Random(0)
    noise = {a: rng.gauss(0, 1) for a in scores(200)}
    figures = PredictorEvaluator(SPACE, noise, seed=1).figures
    assert abs(figures.tau) < 0.4
    assert figures.error > 0.8 * figures.spread


def test_it_follows_its_seed() -> None:
    known, some = scores(60), list(scores(5, seed=4))
    one, same, other = (PredictorEvaluator(SPACE, known, seed=s).predict(some) for s in (1, 1, 2))
    assert list(one) == list(same) != list(other)


@pytest.mark.parametrize(
    "known",
    [scores(5), dict.fromkeys(scores(30), 1.0), dict.fromkeys(scores(30), float("inf"))],
    ids=["few", "constant", "infinite"],
)
def test_nothing_to_learn_from_is_an_error(known: dict[Architecture, float]) -> None:
    with pytest.raises(DataError, match=r"evaluator\.samples"):
        PredictorEvaluator(SPACE, known, seed=0)
