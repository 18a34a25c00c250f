from __future__ import annotations

import math
import random

import numpy as np
import pytest

from fewshot_core.evaluators.counting import CountingEvaluator
from fewshot_core.evaluators.ensemble import (
    EnsembleEvaluator,
    EnsembleSettings,
    Part,
    RankScale,
    make_ensemble,
)
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.evaluators import ToyContext
from fewshot_core.testing.toys import total, toy_space
from fewshot_core.trust.ranking import kendall

SPACE = toy_space(*[4] * 12)


def test_a_rank_is_the_share_of_samples_below() -> None:
    scale = RankScale([3.0, 1.0, 2.0, 2.0])
    assert [scale(score) for score in (1.0, 2.0, 3.0)] == [0.125, 0.5, 0.875]
    assert 0.5 < scale(2.5) < 0.875


def test_scores_beyond_all_samples_are_told_apart() -> None:
    rng = random.Random(0)
    samples = [rng.gauss(0, 1) for _ in range(200)]
    scale = RankScale(samples)
    scores = [min(samples) - 2, min(samples) - 1, min(samples), 0.0]
    scores += [max(samples), max(samples) + 0.01, max(samples) + 3]
    ranks = [scale(score) for score in scores]
    assert ranks == sorted(set(ranks))
    assert ranks[0] < 0 < ranks[2]
    assert ranks[4] < 1 < ranks[-1]
    # As steeply as among the best tenth.
    inner = float(np.quantile(samples, 0.9))
    slope = (scale(max(samples)) - 0.9) / (max(samples) - inner)
    assert scale(max(samples) + 1) - scale(max(samples)) == pytest.approx(slope, rel=0.1)


@pytest.mark.parametrize("samples", [[], [2.0, 2.0], [math.inf, 2.0]])
def test_samples_that_say_nothing_rank_nothing(samples: list[float]) -> None:
    scale = RankScale(samples)
    assert {scale(score) for score in (-5.0, 2.0, 7.0)} == {0.5}
    assert math.isnan(scale(math.nan))


class Noisy:
    """A sum of the choices, and noise of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def evaluate(self, architecture: Architecture) -> dict[str, float]:
        noise = random.Random(f"{self.name}{architecture.id}").gauss(0, 3)
        return {"score": total(architecture) + noise, self.name: 1.0}


def test_errors_that_differ_cancel() -> None:
    rng = random.Random(0)
    drawn = [SPACE.sample(rng) for _ in range(400)]
    samples, some = drawn[:100], drawn[100:]
    parts = [
        Part(one.name, one, RankScale([one.evaluate(a)["score"] for a in samples]))
        for one in (Noisy("first"), Noisy("second"))
    ]
    truth = [float(total(a)) for a in some]
    taus = [kendall([p.evaluator.evaluate(a)["score"] for a in some], truth) for p in parts]
    ensemble = EnsembleEvaluator(parts)
    joined = kendall([ensemble.evaluate(a)["score"] for a in some], truth)
    assert joined > max(taus) + 0.05
    assert ensemble.evaluate(some[0])["first"] == 1.0, "what the supernet measured is given"
    assert "second" not in ensemble.evaluate(some[0])


def test_a_part_without_a_score_leaves_none() -> None:
    class Failing:
        def evaluate(self, architecture: Architecture) -> dict[str, float]:
            return {"score": math.nan}

    costs = CountingEvaluator(lambda a: {"params": total(a)}, "params")
    parts = [Part("good", costs, RankScale([1.0, 2.0])), Part("bad", Failing(), RankScale([1.0]))]
    some = SPACE.sample(random.Random(1))
    assert math.isnan(EnsembleEvaluator(parts).evaluate(some)["score"])


def test_the_samples_are_within_the_limits_and_kept() -> None:
    context = ToyContext()
    make_ensemble(EnsembleSettings(samples=25, size="flops"), context)
    assert set(context.kept) == {
        f"ensemble-scores/{part}.csv" for part in ("supernet", "naswot", "counting")
    }
    first, *others = (list(scores) for scores in context.kept.values())
    assert all(other == first for other in others)
    assert len(first) == 25
    assert all(context.accepts(a) for a in first)


def test_without_other_scores_it_orders_as_the_supernets() -> None:
    context = ToyContext()
    evaluator = make_ensemble(EnsembleSettings(samples=30, proxy=None, score="loss"), context)
    rng = random.Random(5)
    some = list(dict.fromkeys(context.root.sample(rng) for _ in range(40)))
    measured = [evaluator.evaluate(a) for a in some]
    assert kendall([m["score"] for m in measured], [-m["loss"] for m in measured]) > 0.999
