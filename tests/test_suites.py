"""The conformance suites themselves: each has to fail for a plug-in that is broken."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import optuna
import pytest

from fewshot_core.search.loop import run_search
from fewshot_core.search.samplers import SampledStrategy
from fewshot_core.search.strategies import StrategyContext
from fewshot_core.search.trial import Proposal
from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing import spaces, strategies
from fewshot_core.testing.spaces import SpaceSuite, some_architectures
from fewshot_core.testing.splitters import SplitterSuite
from fewshot_core.testing.strategies import RecordingEvaluator
from fewshot_core.testing.toys import ToySpace, toy_space


class Skewed(ToySpace):
    def sample(self, rng: random.Random) -> Architecture:
        choices = [min(rng.choice(d.options), rng.choice(d.options)) for d in self.decisions]
        return Architecture(self.name, tuple(choices))


class Unseeded(ToySpace):
    def sample(self, rng: random.Random) -> Architecture:
        return super().sample(random.Random())


class Jumping(ToySpace):
    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        return super().mutate(super().mutate(architecture, rng), rng)


class Stubborn(ToySpace):
    """Changes the first decision, always."""

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        first, *rest = architecture.choices
        others = [option for option in self.decisions[0].options if option != first]
        return Architecture(self.name, (rng.choice(others), *rest))


class Inventive(ToySpace):
    def crossover(
        self, mother: Architecture, father: Architecture, rng: random.Random
    ) -> Architecture:
        return self.sample(rng)


class Forgetful(ToySpace):
    def genotype(self, architecture: Architecture) -> str:
        return super().genotype(Architecture(self.name, (0, *architecture.choices[1:])))


class Restless(ToySpace):
    """Neither its canonical nor its connected form is one."""

    def canonical(self, architecture: Architecture) -> Architecture:
        first, *rest = architecture.choices
        return Architecture(self.name, ((int(first) + 1) % 3, *rest))

    connected = canonical


class Miscounting(ToySpace):
    def size(self) -> int:
        return super().size() + 1


BROKEN: list[tuple[type[ToySpace], str]] = [
    (Miscounting, "test_size_is_the_number_enumerated"),
    (Skewed, "test_samples_are_uniform"),
    (Unseeded, "test_samples_follow_the_seed"),
    (Jumping, "test_mutation_changes_one_decision"),
    (Stubborn, "test_mutation_reaches_every_decision"),
    (Inventive, "test_crossover_takes_from_the_parents"),
    (Forgetful, "test_genotypes_are_read_back"),
    (Forgetful, "test_genotypes_are_distinct"),
    (Restless, "test_canonical_is_idempotent"),
    (Restless, "test_connected_is_idempotent"),
]


@pytest.mark.parametrize(
    ("kind", "test"), BROKEN, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_broken_space_fails(kind: type[ToySpace], test: str) -> None:
    space = kind("broken", toy_space().decisions)
    arguments = {"space": space, "architectures": some_architectures(space, 100)}
    method = getattr(SpaceSuite(), test)
    wanted = method.__func__.__code__.co_varnames[1 : method.__func__.__code__.co_argcount]
    with pytest.raises(AssertionError):
        method(**{name: arguments[name] for name in wanted})


def test_a_canonical_form_of_another_cost_fails() -> None:
    space = Restless("broken", toy_space().decisions)
    with pytest.raises(AssertionError):
        SpaceSuite().test_canonical_keeps_the_connected_cost(
            space, some_architectures(space, 10), spaces_cost
        )


def spaces_cost(architecture: Architecture) -> int:
    return int(architecture.choices[0])


# --- splitters

ROOT = Region.root(toy_space())


def unproved(*regions: Region) -> Partition:
    """A partition that nobody proved."""
    partition = object.__new__(Partition)
    object.__setattr__(partition, "parent", ROOT)
    object.__setattr__(partition, "regions", regions)
    return partition


@pytest.mark.parametrize(
    "regions",
    [
        (ROOT.restrict("a", (0,)), ROOT.restrict("a", (1,))),
        (ROOT.restrict("a", (0, 1)), ROOT.restrict("a", (1, 2))),
    ],
    ids=["gap", "overlap"],
)
def test_a_splitter_that_does_not_cover_once_fails(regions: tuple[Region, ...]) -> None:
    suite, partition = SplitterSuite(), unproved(*regions)
    with pytest.raises(AssertionError):
        suite.test_every_architecture_is_in_one_region(partition, list(ROOT.enumerate()))
    with pytest.raises(AssertionError):
        suite.test_sizes_add_up(partition, ROOT)


def test_a_splitter_that_leaks_fails() -> None:
    part = ROOT.restrict("a", (0, 1))
    with pytest.raises(AssertionError):
        SplitterSuite().test_no_region_leaves_its_parent(unproved(ROOT), part)


def test_a_splitter_that_changes_its_mind_fails() -> None:
    def moody(region: Region) -> Partition:
        cut = random.choice([1.0, 2.0, 3.0, 4.0, 5.0]) + random.random()
        low, high = region.band("sum", -1, cut), region.band("sum", cut, 99)
        return unproved(low, high)

    with pytest.raises(AssertionError):
        SplitterSuite().test_it_is_deterministic(moody, ROOT)


# --- strategies: the search loop protects against most, so it is the loop that is broken here


def test_a_loop_that_forgets_the_constraint_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(*arguments: object, **options: object) -> object:
        study, region, factory, evaluator, _ = arguments
        return run_search(study, region, factory, evaluator, lambda a: True, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(strategies, "run_search", careless)
    with pytest.raises(AssertionError):
        _suite("test_infeasible_architectures_are_never_scored")


def test_a_loop_that_starts_over_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(study: object, *arguments: object, **options: object) -> object:
        return run_search(strategies.new_study(), *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(strategies, "run_search", forgetful)
    with pytest.raises(AssertionError):
        _suite("test_a_search_that_is_cut_goes_on_as_if_it_were_not")


def _suite(test: str, make: strategies.Make | None = None) -> None:
    score: Callable[[Architecture], float] = lambda a: int(a.id, 16)  # noqa: E731
    make = make or strategies.from_plugin("rea", population=4, sample=4)
    getattr(strategies.StrategySuite(), test)(make, ROOT, score)


def test_a_strategy_that_learns_from_what_it_is_asked_fails() -> None:
    class Counting(SampledStrategy):
        """Every question changes the next answer."""

        asked = 0

        def ask(self, seed: int) -> Proposal:
            self.asked += 1
            return super().ask(seed + self.asked)

    def make(context: StrategyContext) -> Counting:
        return Counting(
            context.region, lambda seed: optuna.samplers.RandomSampler(seed=seed % 2**32)
        )

    with pytest.raises(AssertionError):
        _suite("test_a_search_that_is_cut_goes_on_as_if_it_were_not", make)


def test_the_recording_evaluator_dies_where_it_is_told() -> None:
    evaluator = RecordingEvaluator(lambda a: 1.0, dies_at=1)
    only = next(ROOT.enumerate())
    assert evaluator.evaluate(only) == {"score": 1.0}
    with pytest.raises(strategies.Killed):
        evaluator.evaluate(only)
    assert evaluator.asked == [only]


def test_toys_are_what_they_say() -> None:
    space = toy_space(2, 3)
    assert (space.name, space.size()) == ("toy2x3", 6)
    assert dataclasses.astuple(space.decisions[1]) == ("b", (0, 1, 2))
    assert spaces.differing(*list(space.enumerate())[:2]) == 1
