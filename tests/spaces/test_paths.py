from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from fewshot_core.errors import FewshotError, RecipeError, RegionError
from fewshot_core.plugins import names_with, plugin, plugins
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.spaces.paths import (
    BalancedPaths,
    CostPaths,
    FairPaths,
    PathBatches,
    PathPolicy,
    SandwichPaths,
    UniformPaths,
    make_paths,
)
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import ToySpace, total, toy_space

ROOT = Region.root(toy_space())  # 3, 3 and 4 options
PART = ROOT.restrict("a", (0, 2)).restrict("c", (1,))
BAND = ROOT.band("sum", 2, 4)
HUGE = Region.root(toy_space(*[7] * 40))


def settings(policy: str, **more: Any) -> PathSettings:
    made: PathSettings = replace(plugin("paths", policy).default(), **more)
    return made


def about(policy: str) -> dict[str, str]:
    return {"feature": "sum"} if policy == "balanced" else {}


def steps(policy: PathPolicy, count: int) -> list[list[Architecture]]:
    rng = random.Random(0)
    return [policy.draw(rng) for _ in range(count)]


def near(count: int, draws: int, probability: float) -> bool:
    return abs(count - draws * probability) <= 6 * math.sqrt(draws * probability)


@pytest.mark.parametrize("name", plugins("paths"))
@pytest.mark.parametrize("region", [ROOT, PART, BAND, HUGE], ids=["root", "part", "band", "huge"])
def test_every_policy(name: str, region: Region) -> None:
    if name == "fair" and region.bands:
        pytest.skip("fair paths refuse bands")
    policy = make_paths(settings(name, **about(name)), region, total)
    drawn = steps(policy, 30)
    assert {len(architectures) for architectures in drawn} == {policy.paths_per_step}
    assert all(region.contains(a) for architectures in drawn for a in architectures)
    assert drawn == steps(policy, 30)  # a function of the generator alone
    assert any(one != drawn[0] for one in drawn)


@pytest.mark.parametrize("region", [ROOT, PART, BAND], ids=["root", "part", "band"])
def test_uniform_paths_are_uniform(region: Region) -> None:
    counts = Counter(path for (path,) in steps(UniformPaths(region), 4000))
    assert set(counts) == set(region.enumerate())
    assert all(near(count, 4000, 1 / len(counts)) for count in counts.values())


@pytest.mark.parametrize("region", [ROOT, PART], ids=["root", "part"])
def test_fair_paths_use_every_option_in_every_step(region: Region) -> None:
    policy = FairPaths(region)
    largest = max(len(options) for options in region.allowed)
    for architectures in steps(policy, 200):
        assert len(architectures) == largest
        for place, options in enumerate(region.allowed):
            used = Counter(architecture.choices[place] for architecture in architectures)
            assert set(used) == set(options)
            assert max(used.values()) - min(used.values()) <= 1


def test_fair_paths_combine_options_freely() -> None:
    """Were the permutations not independent, some combinations would never be trained."""
    seen = Counter(a for architectures in steps(FairPaths(ROOT), 2000) for a in architectures)
    assert set(seen) == set(ROOT.enumerate())
    assert all(near(count, 8000, 1 / 36) for count in seen.values())


def test_fair_paths_refuse_bands() -> None:
    with pytest.raises(RegionError, match=r"without bands.*regions\.paths=uniform"):
        FairPaths(BAND)


def test_balanced_paths_meet_every_value_equally_often() -> None:
    drawn = [path for (path,) in steps(BalancedPaths(ROOT, "sum"), 8000)]
    values = Counter(map(total, drawn))
    assert set(values) == {total(a) for a in ROOT.enumerate()}
    assert all(near(count, 8000, 1 / len(values)) for count in values.values())


def test_balanced_paths_are_uniform_within_a_value() -> None:
    drawn = [path for (path,) in steps(BalancedPaths(ROOT, "sum"), 8000)]
    alike = {a for a in ROOT.enumerate() if total(a) == 3.0}
    counts = Counter(path for path in drawn if path in alike)
    assert set(counts) == alike
    assert all(near(n, counts.total(), 1 / len(alike)) for n in counts.values())


def test_balanced_paths_of_a_huge_region_widen_the_spread() -> None:
    def spread(policy: PathPolicy) -> float:
        sums = [total(path) for (path,) in steps(policy, 300)]
        return max(sums) - min(sums)

    assert spread(BalancedPaths(HUGE, "sum")) > 1.2 * spread(UniformPaths(HUGE))


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(FewshotError, match="no feature 'summ'"):
        BalancedPaths(ROOT, "summ").draw(random.Random(0))


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"unknown paths 'sandwhich'.*mean 'sandwich'"):
        make_paths(PathSettings("sandwhich"), ROOT, total)


@pytest.mark.parametrize("together", [1, 4])
def test_what_cannot_be_drawn_is_found_before_the_first_step(together: int) -> None:
    with pytest.raises(FewshotError, match="no feature 'summ'"):
        make_paths(settings("balanced", feature="summ", together=together), ROOT, total).check()
    with pytest.raises(RegionError, match="widen"):
        make_paths(settings("cost", low=8, together=together), ROOT, total).check()
    for name in names_with("paths", "spans"):
        make_paths(settings(name, together=together, **about(name)), ROOT, total).check()


def test_balanced_paths_of_an_empty_region_are_an_error() -> None:
    with pytest.raises(RegionError, match="holds no architecture"):
        BalancedPaths(ROOT.band("sum", 50, 60), "sum").draw(random.Random(0))


# --- sandwich and cost


def test_a_sandwich_is_the_largest_some_and_the_smallest() -> None:
    policy = SandwichPaths(ROOT, total, 5)
    for largest, *between, smallest in steps(policy, 50):
        assert largest.choices == (2, 2, 3)
        assert smallest.choices == (0, 0, 0)
        assert len(between) == 3
    assert len({a for step in steps(policy, 50) for a in step}) > 20


def test_a_sandwich_stays_in_its_region() -> None:
    largest, *_, smallest = steps(SandwichPaths(BAND, total), 1)[0]
    assert (total(largest), total(smallest)) == (3, 2)


def test_costs_are_drawn_evenly() -> None:
    """Uniform paths meet the ends of a long sum as good as never."""
    space = Region.root(toy_space(*[7] * 20))
    drawn = [total(step[0]) for step in steps(CostPaths(space, total), 600)]
    counts = Counter(int(cost / 121 * 5) for cost in drawn)
    assert all(abs(counts[part] - 120) < 50 for part in range(5))
    uniform = [total(step[0]) for step in steps(UniformPaths(space), 600)]
    assert min(uniform) > 20


def test_costs_can_be_limited() -> None:
    policy = CostPaths(HUGE, total, low=30, high=40)
    assert all(29 <= total(step[0]) <= 41 for step in steps(policy, 50))
    assert policy.range == (30, 40)


def test_a_range_without_architectures_is_refused() -> None:
    with pytest.raises(RegionError, match=r"costs from 0 to 7.*widen"):
        CostPaths(ROOT, total, low=8).range  # noqa: B018


# --- for the parts of a batch


@pytest.mark.parametrize("name", names_with("paths", "spans"))
@pytest.mark.parametrize("region", [ROOT, PART, BAND, HUGE], ids=["root", "part", "band", "huge"])
def test_every_policy_draws_for_a_batch(name: str, region: Region) -> None:
    if name == "fair" and region.bands:
        pytest.skip("fair paths refuse bands")
    count = 4 * max(len(options) for options in region.allowed)
    policy = make_paths(settings(name, together=count, **about(name)), region, total)
    assert isinstance(policy, PathBatches)
    assert policy.paths_per_step == 1  # an image is seen once
    drawn = steps(policy, 10)
    assert {len(architectures) for architectures in drawn} == {count}
    assert all(region.contains(a) for architectures in drawn for a in architectures)
    assert drawn == steps(policy, 10)


@pytest.mark.parametrize("count", [4, 7, 12])
@pytest.mark.parametrize("region", [ROOT, PART, HUGE], ids=["root", "part", "huge"])
def test_options_are_spread_over_the_parts(region: Region, count: int) -> None:
    for architectures in steps(PathBatches(UniformPaths(region), count), 20):
        for place, options in enumerate(region.allowed):
            used = Counter(architecture.choices[place] for architecture in architectures)
            times = [used[option] for option in options]
            assert max(times) - min(times) <= 1


@pytest.mark.parametrize("region", [ROOT, PART, BAND], ids=["root", "part", "band"])
def test_each_of_a_batch_is_uniform_by_itself(region: Region) -> None:
    drawn = steps(PathBatches(UniformPaths(region), 5), 2000)
    for part in (0, 4):
        counts = Counter(architectures[part] for architectures in drawn)
        assert set(counts) == set(region.enumerate())
        assert all(near(count, 2000, 1 / len(counts)) for count in counts.values())


def test_values_of_a_feature_are_spread_over_the_parts() -> None:
    policy = make_paths(settings("balanced", feature="sum", together=16), ROOT, total)
    values = len({total(a) for a in ROOT.enumerate()})
    for architectures in steps(policy, 20):
        used = Counter(total(a) for a in architectures)
        assert len(used) == values
        assert max(used.values()) - min(used.values()) <= 1


def test_costs_are_spread_over_the_parts() -> None:
    policy = make_paths(settings("cost", together=10), HUGE, total)
    assert isinstance(policy, PathBatches)
    low, high = CostPaths(HUGE, total).range
    for architectures in steps(policy, 5):
        costs = sorted((total(a) - low) / (high - low) for a in architectures)
        assert all(abs(c - (i + 0.5) / 10) < 0.1 for i, c in enumerate(costs))


def test_fair_paths_need_a_multiple_of_the_options() -> None:
    with pytest.raises(RegionError, match=r"paths\.together=6, 4 options.*multiple of 4"):
        make_paths(settings("fair", together=6), ROOT, total)


def test_sandwich_paths_are_for_whole_batches() -> None:
    with pytest.raises(RegionError, match=r"whole batch.*together=1"):
        make_paths(settings("sandwich", together=4), ROOT, total)


# --- connected


class Broken(ToySpace):
    """A space where an architecture with the first option of `a` is no network."""

    def connected(self, architecture: Architecture) -> Architecture | None:
        return None if architecture.choices[0] == 0 else architecture


def broken_root() -> Region:
    plain = toy_space()
    return Region.root(Broken(plain.name, plain.decisions))


def test_architectures_without_a_path_are_left_out_where_that_is_asked_for() -> None:
    root = broken_root()
    every = UniformPaths(root)
    some = UniformPaths(root, connected=True)
    assert {a.choices[0] for [a] in steps(every, 100)} == {0, 1, 2}
    drawn = [a for [a] in steps(some, 300)]
    counts = Counter(a.choices[0] for a in drawn)
    assert set(counts) == {1, 2}
    assert all(near(count, 300, 1 / 2) for count in counts.values())
    together = some.draw_together(random.Random(0), 50)
    assert {a.choices[0] for a in together} == {1, 2}
    some.check()


def test_a_region_without_a_path_is_refused_before_the_first_step() -> None:
    policy = UniformPaths(broken_root().restrict("a", (0,)), connected=True)
    with pytest.raises(RegionError, match="a path from input to output"):
        policy.check()
