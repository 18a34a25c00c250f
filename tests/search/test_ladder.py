"""Rungs of a ladder, and what a model learns from them."""

from __future__ import annotations

import random

import pytest

from fewshot_core.recipe.schema import LadderSettings
from fewshot_core.search.ladder import LadderModel, Rung, join_results, plan_rungs
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import toy_space

SPACE = toy_space(4, 4, 4, 4)


def results(noise: float, count: int = 60) -> dict[Architecture, float]:
    rng = random.Random(0)
    drawn = [SPACE.sample(rng) for _ in range(count)]
    return {a: worth(a) + rng.gauss(0, noise) for a in drawn}


def worth(architecture: Architecture) -> float:
    return sum(int(choice) * 4.0**place for place, choice in enumerate(architecture.choices))


def test_every_rung_has_the_same_budget() -> None:
    rungs = plan_rungs(LadderSettings(networks=48, epochs=60, rungs=3, keep=0.25))
    assert [rung.networks for rung in rungs] == [48, 12, 3]
    assert [rung.networks * rung.epochs for rung in rungs] == pytest.approx([20, 20, 20])
    assert plan_rungs(LadderSettings(networks=0)) == []
    assert plan_rungs(LadderSettings(networks=9, epochs=3, rungs=1)) == [Rung(9, 1 / 3)]


def test_a_rung_has_a_network_at_least_and_shares_are_rounded_up() -> None:
    rungs = plan_rungs(LadderSettings(networks=5, epochs=8, rungs=4, keep=0.3))
    assert [rung.networks for rung in rungs] == [5, 2, 1, 1]
    thirds = plan_rungs(LadderSettings(networks=27, epochs=9, rungs=3, keep=1 / 3))
    assert [rung.networks for rung in thirds] == [27, 9, 3]


def test_what_parts_are_worth_is_learnt() -> None:
    model = LadderModel(SPACE, results(noise=0.5))
    assert model.tau > 0.9
    others = [a for a in SPACE.enumerate() if a not in results(noise=0.5)]
    best = max(others, key=lambda a: model.predict([a])[0])
    assert worth(best) >= sorted(map(worth, others))[-3]


def test_noise_is_not() -> None:
    """The order is that of results that the models had not seen: fitting them shows nothing."""
    taus = []
    for seed in range(5):
        rng = random.Random(seed)
        taus.append(LadderModel(SPACE, {a: rng.gauss(0, 1) for a in results(1)}).tau)
    assert max(taus) < 0.3
    assert sum(taus) / 5 < 0.1


def test_results_of_longer_trainings_come_to_the_scale_of_the_first() -> None:
    a, b, c, d, e = (SPACE.sample(random.Random(seed)) for seed in range(5))
    joined = join_results([{a: 1.0, b: 2.0, c: 3.0}, {b: 12.0, c: 11.0, d: 10.0}, {d: 30, e: 31}])
    # From the first rung to the second b and c gained 9 on average, then d gained 20.
    assert joined == {a: 1.0, b: 3.0, c: 2.0, d: 1.0, e: 2.0}
    assert join_results([]) == {}
