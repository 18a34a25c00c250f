"""Latent-action tree search: its tree, its draws, and what it finds."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import numpy as np
import pytest

from fewshot_core.search.samplers import LatentActionSampler, latent
from fewshot_core.search.samplers.latent import Node
from fewshot_core.search.strategies import StrategyContext
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import Make, RecordingEvaluator, from_plugin, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(4, 4, 4, 4, 4))
LARGE = Region.root(toy_space(*[4] * 12))


def sampler(region: Region = ROOT, **settings: object) -> LatentActionSampler:
    usual = {"initial": 2, "height": 4, "exploration": 0.03, "least": 3, "seed": 0}
    return LatentActionSampler(region, **{**usual, **settings})  # type: ignore[arg-type]


def told(
    region: Region = ROOT,
    count: int = 60,
    score: Callable[[Architecture], float] = total,
    **settings: object,
) -> LatentActionSampler:
    """A sampler that knows some random trials."""
    found, rng = sampler(region, **settings), random.Random(1)
    for _ in range(count):
        architecture = region.sample(rng)
        found.learn(architecture, score(architecture))
    return found


def leaves(node: Node) -> list[Node]:
    return [leaf for child in node.children for leaf in leaves(child)] or [node]


def inside(tree: LatentActionSampler, leaf: Node, architecture: Architecture) -> bool:
    place = np.array([tree._place(architecture)])
    return all(bool(half.holds(place)[0]) for half in leaf.path)


def test_leaves_are_disjoint_and_cover_the_space() -> None:
    tree = told()
    found = leaves(tree.grow())
    assert len(found) > 4
    for architecture in ROOT.enumerate():
        assert sum(inside(tree, leaf, architecture) for leaf in found) == 1
    assert sorted(np.concatenate([leaf.samples for leaf in found])) == list(range(60))


def test_the_better_half_is_better() -> None:
    def check(node: Node) -> None:
        if node.children:
            better, other = node.children
            assert better.value > other.value
            assert len(better.samples) + len(other.samples) == len(node.samples)
            check(better)
            check(other)

    check(told(count=200).grow())


def test_a_linear_score_is_cut_where_it_has_its_mean() -> None:
    """With all architectures told, the first cut is the mean of the score itself."""
    tree = sampler()
    for architecture in ROOT.enumerate():
        tree.learn(architecture, total(architecture))
    better, other = tree.grow().children
    members = list(ROOT.enumerate())
    mean = statistics.fmean(map(total, members))
    assert {total(members[i]) for i in better.samples} == {s for s in range(16) if s > mean}
    assert {total(members[i]) for i in other.samples} == {s for s in range(16) if s < mean}


@pytest.mark.parametrize("region", [ROOT, LARGE], ids=["listed", "walked"])
def test_all_inequalities_of_the_path_hold_for_what_is_drawn(region: Region) -> None:
    assert (region.box_size() > ENUMERABLE) is (region is LARGE)
    tree = told(region, height=6)
    leaf = tree.descend(tree.grow())
    assert len(leaf.path) > 2
    for seed in range(40):
        assert inside(tree, leaf, tree.seeded(seed).draw())  # type: ignore[attr-defined]


def test_draws_are_uniform_over_a_leaf() -> None:
    tree = told(count=20, height=2)
    leaf = tree.descend(tree.grow())
    known = {tree._at(places) for places in tree._places}
    members = [a for a in ROOT.enumerate() if inside(tree, leaf, a) and a not in known]
    counts = dict.fromkeys(members, 0)
    each = 12
    for seed in range(each * len(members)):
        tree.rng.seed(seed)
        counts[tree.draw()] += 1
    deviation = sum((count - each) ** 2 / each for count in counts.values())
    # Chi-square: mean n - 1, standard deviation sqrt(2 (n - 1)).
    degrees = len(members) - 1
    assert abs(deviation - degrees) < 4 * (2 * degrees) ** 0.5


def test_the_walk_stays_in_its_leaf_and_gets_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where random architectures hardly ever hit the leaf."""
    monkeypatch.setattr(latent, "REJECTIONS", 0)
    tree = told(LARGE, count=300, height=8)
    leaf = tree.descend(tree.grow())
    drawn = set()
    for seed in range(60):
        tree.rng.seed(seed)
        drawn.add(tree.draw())
    assert len(drawn) > 50
    assert all(inside(tree, leaf, architecture) for architecture in drawn)


def test_what_is_known_is_not_proposed_until_nothing_else_is_left() -> None:
    region = Region.root(toy_space(3, 3, 3))
    strategy = from_plugin("lanas", initial=4)
    done = search(strategy, region, RecordingEvaluator(total), 30, seed=0)
    assert len({trial.architecture for trial in done[:27]}) == 27 == region.box_size()


def test_only_what_satisfies_the_constraint_is_proposed() -> None:
    for region in (ROOT, LARGE):
        middle = 1.5 * len(region.space.decisions)
        strategy = from_plugin("lanas", initial=5)(
            StrategyContext(region, lambda a, m=middle: total(a) <= m, total)  # type: ignore[misc]
        )
        done = search(
            lambda _, made=strategy: made,  # type: ignore[misc]
            region,
            RecordingEvaluator(total),
            40,
            seed=0,
        )
        assert all(total(trial.architecture) <= middle for trial in done)


def test_exploration_weighs_values_against_visits() -> None:
    greedy, curious = told(exploration=0.0), told(exploration=1e6)
    node = greedy.grow()
    while node.children:
        node = max(node.children, key=lambda child: child.value)
    assert greedy.descend(greedy.grow()).samples.tolist() == node.samples.tolist()
    node = curious.grow()
    while node.children:
        node = min(node.children, key=lambda child: len(child.samples))
    assert curious.descend(curious.grow()).samples.tolist() == node.samples.tolist()


def test_networks_that_collapse_are_the_worst() -> None:
    tree = told(score=lambda a: float("nan") if a.choices[0] == 0 else total(a))
    assert np.isfinite([leaf.value for leaf in leaves(tree.grow())]).all()
    better, _ = tree.grow().children
    collapsed = [i for i, places in enumerate(tree._places) if places[0] == 0]
    assert not set(collapsed) & set(tree.descend(better).samples.tolist())


def test_it_finds_more_than_random() -> None:
    def best(make: Make) -> float:
        runs = [search(make, LARGE, RecordingEvaluator(total), 60, seed=seed) for seed in range(4)]
        return sum(max(trial.score for trial in run) for run in runs)

    assert best(from_plugin("lanas", initial=10)) > best(from_plugin("random")) + 8
