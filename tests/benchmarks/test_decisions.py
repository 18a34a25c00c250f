"""Ways to spend a budget, on networks whose results are made up."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.studies.deploy.decisions import (
    Drawn,
    Ladder,
    Largest,
    Pool,
    Score,
    Scored,
    plan_lengths,
    regrets,
)
from benchmarks.studies.deploy.searched import Searched, find_length
from fewshot_core.testing.toys import toy_space

SPACE = toy_space(5, 5, 5, 5)
LENGTHS = (1_000, 4_000, 16_000)


def make_pool(noise: float = 0.0, count: int = 300) -> Pool:
    """True values that hardly depend on the cost; trainings see them the better the longer."""
    rng = np.random.default_rng(0)
    architectures = random.Random(0).sample(list(SPACE.enumerate()), count)
    worth = np.array([sum(3.0**p * int(c) for p, c in enumerate(a.choices)) for a in architectures])
    costs = np.array([float(sum(map(int, a.choices))) for a in architectures])
    truth = worth + rng.normal(0, 1, count)
    curves = {
        length: truth + rng.normal(0, 1, count) * noise * (LENGTHS[0] / length) ** 0.5
        for length in LENGTHS
    }
    scores = {
        "good": [Score(truth + rng.normal(0, 20, count), 10_000)],
        "useless": [Score(rng.normal(0, 1, count), 10_000)],
    }
    return Pool(SPACE, architectures, truth, costs, {"loss": curves}, scores)


def test_the_longest_lengths_that_can_be_paid_are_used() -> None:
    assert plan_lengths(LENGTHS, 96_000, 3) == [(1_000, 32), (4_000, 8), (16_000, 2)]
    assert plan_lengths(LENGTHS, 90_000, 3) == [(4_000, 11), (16_000, 2)]
    assert plan_lengths(LENGTHS, 96_000, 1) == [(16_000, 6)]
    assert plan_lengths(LENGTHS, 2_000, 3) == [(1_000, 2)]
    assert plan_lengths(LENGTHS, 1_999, 3) == []


@pytest.mark.parametrize("limit", [8.0, 12.0, np.inf])
def test_nothing_above_the_limit_is_handed_over(limit: float) -> None:
    pool = make_pool(noise=20)
    ways = (Largest(), Drawn(), Scored("good"), Ladder(), Ladder("expensive"), Ladder("good"))
    for way in (*ways, Ladder(proposals=0.5)):
        for seed in range(10):
            chosen = way(pool, 200_000, limit, random.Random(seed))
            assert chosen is not None
            assert pool.costs[chosen] <= limit
    found = regrets(pool, Largest(), 0, limit, 3)
    assert found is not None
    assert (found >= 0).all()


def test_what_costs_more_than_the_budget_is_not_to_be_had() -> None:
    pool = make_pool()
    assert regrets(pool, Scored("good"), 9_999, np.inf, 2) is None
    assert regrets(pool, Ladder("good"), 11_000, np.inf, 2) is None
    assert regrets(pool, Ladder("good"), 12_000, np.inf, 2) is not None
    assert regrets(pool, Ladder(), 1_000, np.inf, 2) is None


def mean(pool: Pool, way: Ladder | Scored | Drawn, budget: int) -> float:
    found = regrets(pool, way, budget, np.inf, 60)
    assert found is not None
    return float(found.mean())


def test_more_images_and_better_beginnings_leave_less_regret() -> None:
    pool = make_pool(noise=20)
    assert mean(pool, Ladder(), 400_000) < mean(pool, Ladder(), 100_000) < mean(pool, Drawn(), 0)
    assert mean(pool, Ladder("good"), 100_000) < mean(pool, Ladder(), 100_000)
    assert mean(pool, Ladder("good"), 400_000) < mean(pool, Scored("good"), 400_000)
    useless = mean(pool, Ladder("useless"), 100_000)
    assert useless > mean(pool, Ladder("good"), 100_000)


def test_a_model_finds_what_was_not_drawn() -> None:
    pool = make_pool(noise=5)
    assert mean(pool, Ladder(proposals=0.5), 120_000) < mean(pool, Ladder(), 120_000)


def test_networks_that_were_not_trained_so_long_do_not_climb() -> None:
    pool = make_pool()
    curves = pool.curves["loss"]
    few = {**curves, LENGTHS[-1]: curves[LENGTHS[-1]].copy()}
    few[LENGTHS[-1]][np.argsort(-pool.truth)[:10]] = np.nan
    less = replace(pool, curves={"loss": few})
    for seed in range(10):
        chosen = Ladder()(less, 200_000, np.inf, random.Random(seed))
        assert chosen is not None
        assert not np.isnan(few[LENGTHS[-1]][chosen])


def test_a_seed_is_a_search_of_its_own_and_the_same_again() -> None:
    pool = make_pool(noise=20)
    one, same = (regrets(pool, Ladder(), 100_000, np.inf, 20) for _ in range(2))
    assert one is not None
    assert same is not None
    assert (one == same).all()
    assert len(set(one.tolist())) > 3


@pytest.mark.parametrize("strategy", ["random", "rea", "tpe"])
def test_a_strategy_asks_for_trainings(strategy: str) -> None:
    pool = make_pool(noise=10)
    found = regrets(pool, Searched(strategy), 40_000, np.inf, 10)
    assert found is not None
    assert found.mean() < mean(pool, Drawn(), 0) / 2
    assert regrets(pool, Searched(strategy), 40_000, np.inf, 10) == pytest.approx(found)
    chosen = Searched(strategy)(pool, 40_000, 8.0, random.Random(0))
    assert chosen is not None
    assert pool.costs[chosen] <= 8.0


def test_strategies_that_learn_ask_better() -> None:
    pool = make_pool(noise=1)
    blind, learning = (
        regrets(pool, Searched(name), 60_000, np.inf, 20) for name in ("random", "rea")
    )
    assert blind is not None
    assert learning is not None
    assert learning.mean() < blind.mean()


def test_only_lengths_that_all_were_trained_for_are_asked_for() -> None:
    pool = make_pool()
    curves = pool.curves["loss"]
    longest = curves[LENGTHS[1]].copy()
    longest[3] = np.nan
    within = np.arange(len(pool.truth))
    assert find_length(curves, within, 96_000) == LENGTHS[1]
    few = {**curves, LENGTHS[1]: longest}
    broken = replace(pool, curves={"loss": few})
    assert find_length(few, within, 96_000) == LENGTHS[0]
    assert find_length(few, within, 23_000) is None
    assert Searched("random")(broken, 23_000, np.inf, random.Random(0)) is None
