from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from fewshot_core.search.strategies import StrategyContext, make_strategy
from fewshot_core.search.strategies._multilevel import MultilevelStrategy
from fewshot_core.search.strategies.multilevel import MultilevelSettings
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import toy_space
from fewshot_tasks.autogan.space import generator_space

SPACE = generator_space()
SETTINGS = MultilevelSettings(lr=0.02, hidden=16, level_trials=60, candidates=8, beam=3)


def deconvs(architecture: Architecture) -> float:
    return sum(choice == "deconv" for choice in architecture.choices)


def strategy(settings: MultilevelSettings = SETTINGS) -> MultilevelStrategy:
    root = Region.root(SPACE)
    made = make_strategy(settings, StrategyContext(root, lambda a: True, lambda a: 0.0))
    assert isinstance(made, MultilevelStrategy)
    return made


def run(made: MultilevelStrategy, count: int, start: int = 0) -> list[Architecture]:
    asked = []
    for number in range(start, start + count):
        architecture = made.ask(number).architecture
        made.tell(Trial(number, architecture, deconvs(architecture), {}))
        asked.append(architecture)
    return asked


def test_cells_are_decided_one_after_the_other() -> None:
    made = strategy()
    first = run(made, 60)
    assert made.number == 0
    assert len({a.choices[4:9] for a in first}) > 20  # later cells are anything
    candidates = run(made, 8, 60)
    # Completed alike, so that they compare.
    assert len({a.choices[4:] for a in candidates}) == 1
    assert made.number == 1
    ranked = sorted(candidates, key=deconvs, reverse=True)
    prefixes = list(dict.fromkeys(a.choices[:4] for a in ranked))[:3]
    assert [parent.choices for parent in made.level.parents] == prefixes
    assert all(parent.state is not None for parent in made.level.parents)
    second = run(made, 60, 68)
    assert {a.choices[:4] for a in second} <= set(prefixes)
    run(made, 8, 128)
    assert made.number == 2
    third = run(made, 200, 136)  # the last level learns to the end
    assert made.number == 2
    assert {a.choices[:9] for a in third} <= {p.choices for p in made.level.parents}


def test_it_learns() -> None:
    made = strategy()
    run(made, 136)
    late = run(made, 150, 136)[-50:]
    assert sum(map(deconvs, late)) / 50 > 2.3  # one at random


def test_the_beam_has_no_repetitions() -> None:
    made = strategy()
    run(made, 60)
    architecture = made.ask(0).architecture
    for number in range(8):
        made.tell(Trial(60 + number, architecture, 1.0, {}))
    assert [parent.choices for parent in made.level.parents] == [architecture.choices[:4]]


def test_the_first_reward_moves_nothing_and_each_is_weighted_by_its_own_advantage() -> None:
    made = strategy(MultilevelSettings(lr=0.02, hidden=8, entropy=0.0))
    before = [p.clone() for p in made.level.policy.parameters()]
    one, other = made.ask(1).architecture, made.ask(2).architecture
    made.tell(Trial(0, one, 5.0, {}))
    pairs = zip(made.level.policy.parameters(), before, strict=True)
    assert all(torch.equal(mine, old) for mine, old in pairs)
    assert made.level.baseline == 5.0

    def likelihood(architecture: Architecture) -> float:
        with torch.no_grad():
            return float(made.level.policy.walk(made._known(architecture)).likelihood)

    worse, better = likelihood(one), likelihood(other)
    made.tell(Trial(1, other, 7.0, {}))
    assert likelihood(other) > better
    assert made.level.baseline == pytest.approx(5.2)
    made.tell(Trial(2, one, 1.0, {}))
    assert likelihood(one) < worse


def test_entropy_is_rewarded() -> None:
    settings = MultilevelSettings(lr=0.05, hidden=8, entropy=10.0, level_trials=500)
    made = strategy(settings)
    with torch.no_grad():
        made.level.policy.heads[2].bias[0] = 3.0
    run(made, 60)
    drawn = Counter(a.choices[2] for a in run(made, 90, 60))
    assert len(drawn) == 3
    assert min(drawn.values()) > 10


def test_what_was_drawn_for_a_constraint_teaches_nothing_in_later_levels() -> None:
    made = strategy()
    run(made, 70)
    known = {parent.choices for parent in made.level.parents}
    rng = random.Random(0)
    stranger = next(a for a in iter(lambda: SPACE.sample(rng), None) if a.choices[:4] not in known)
    before = [p.clone() for p in made.level.policy.parameters()]
    made.tell(Trial(70, stranger, 100.0, {}))
    pairs = zip(made.level.policy.parameters(), before, strict=True)
    assert all(torch.equal(mine, old) for mine, old in pairs)


def test_scores_that_are_no_numbers() -> None:
    made = strategy()
    for number in range(60 + 8):
        architecture = made.ask(number).architecture
        made.tell(Trial(number, architecture, -float("inf"), {}))
    assert made.number == 1
    assert len(made.level.parents) == 1
    assert all(p.isfinite().all() for p in made.level.policy.parameters())


def test_a_space_without_levels_is_one() -> None:
    space = toy_space()
    assert space.levels() == (("a", "b", "c"),)
    assert SPACE.levels()[1] == tuple(d.name for d in SPACE.decisions[4:9])
