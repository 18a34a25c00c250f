"""What every search space has to do."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from fewshot_core.spaces.region import ENUMERABLE
from fewshot_core.spaces.space import Architecture, Option, SearchSpace

Cost = Callable[[Architecture], object]

SIGMAS = 6.0
"""Allowed deviation of a count from its expectation: a right sampler fails once in 10^8 counts."""


class SpaceSuite:
    """Tests of a :class:`SearchSpace`; supply the fixture ``space``.

    Where all members of a class of :meth:`SearchSpace.canonical` have the same connected cost,
    override the fixture ``cost`` as well.
    """

    samples = 200
    """Architectures that a property is checked for."""

    draws = 4000
    """Samples whose distribution is looked at."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        """The space under test."""
        raise NotImplementedError("a subclass supplies the fixture `space`")

    @pytest.fixture
    def cost(self) -> Cost | None:
        """Connected cost of an architecture, if canonical forms keep it."""
        return None

    @pytest.fixture
    def architectures(self, space: SearchSpace) -> list[Architecture]:
        """Random architectures, and those of all first and all last options."""
        return some_architectures(space, self.samples)

    # -- counting ----------------------------------------------------------------------------

    def test_size_is_the_number_enumerated(self, space: SearchSpace) -> None:
        _skip_if_large(space)
        assert sum(1 for _ in space.enumerate()) == space.size()

    def test_enumeration_is_distinct_and_inside(self, space: SearchSpace) -> None:
        first = list(itertools.islice(space.enumerate(), ENUMERABLE))
        assert len(set(first)) == len(first)
        assert all(space.contains(architecture) for architecture in first)

    def test_ids_are_distinct(self, space: SearchSpace) -> None:
        first = set(itertools.islice(space.enumerate(), 20_000))
        first |= set(some_architectures(space, 1000))
        assert len({architecture.id for architecture in first}) == len(first)

    def test_foreign_architectures_are_outside(self, space: SearchSpace) -> None:
        inside = space.sample(random.Random(0))
        assert space.contains(inside)
        assert not space.contains(Architecture(space.name + "?", inside.choices))
        assert not space.contains(Architecture(space.name, inside.choices[:-1]))
        assert not space.contains(Architecture(space.name, ("?", *inside.choices[1:])))

    # -- drawing -----------------------------------------------------------------------------

    def test_samples_are_inside(self, space: SearchSpace) -> None:
        rng = random.Random(1)
        assert all(space.contains(space.sample(rng)) for _ in range(self.samples))

    def test_samples_follow_the_seed(self, space: SearchSpace) -> None:
        def draw(seed: int) -> list[Architecture]:
            rng = random.Random(seed)
            return [space.sample(rng) for _ in range(30)]

        assert draw(5) == draw(5)
        if space.size() > 1:
            assert draw(5) != draw(6)

    def test_samples_are_uniform(self, space: SearchSpace) -> None:
        rng = random.Random(2)
        drawn = [space.sample(rng) for _ in range(self.draws)]
        if space.size() <= self.draws // 40:
            probability = dict.fromkeys(space.enumerate(), 1 / space.size())
            _require_frequencies(drawn, probability)
            return
        for place in range(len(space.decisions)):
            _require_frequencies((a.choices[place] for a in drawn), _marginal(space, place))

    def test_mutation_changes_one_decision(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        if space.size() == 1:
            pytest.skip("there is nothing to mutate to")
        rng = random.Random(3)
        for architecture in architectures:
            child = space.mutate(architecture, rng)
            assert space.contains(child)
            assert differing(architecture, child) == 1

    def test_mutation_reaches_every_decision(self, space: SearchSpace) -> None:
        rng = random.Random(4)
        free = {i for i, decision in enumerate(space.decisions) if len(decision.options) > 1}
        parent = space.sample(rng)
        changed = {
            i
            for _ in range(60 * len(free))
            for i, (a, b) in enumerate(
                zip(parent.choices, space.mutate(parent, rng).choices, strict=True)
            )
            if a != b
        }
        assert changed == free

    def test_crossover_takes_from_the_parents(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        rng = random.Random(5)
        for mother, father in itertools.pairwise(architectures):
            child = space.crossover(mother, father, rng)
            assert space.contains(child)
            pairs = zip(child.choices, mother.choices, father.choices, strict=True)
            assert all(c in (m, f) for c, m, f in pairs)

    # -- text and JSON -----------------------------------------------------------------------

    def test_genotypes_are_read_back(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            assert space.parse(space.genotype(architecture)) == architecture

    def test_genotypes_are_distinct(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        distinct = set(architectures)
        assert len({space.genotype(architecture) for architecture in distinct}) == len(distinct)

    def test_json_is_read_back(self, space: SearchSpace, architectures: list[Architecture]) -> None:
        for architecture in architectures:
            text = json.dumps(space.to_json(architecture))
            assert space.from_json(json.loads(text)) == architecture
            assert json.loads(text)["id"] == architecture.id

    def test_choices_are_read_back(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            assert space.architecture(space.choices(architecture)) == architecture

    # -- equal networks ----------------------------------------------------------------------

    def test_canonical_is_idempotent(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            canonical = space.canonical(architecture)
            assert space.contains(canonical)
            assert space.canonical(canonical) == canonical

    def test_canonical_keeps_the_connected_cost(
        self, space: SearchSpace, architectures: list[Architecture], cost: Cost | None
    ) -> None:
        if cost is None:
            pytest.skip("no cost was supplied that canonical forms keep")
        for architecture in architectures:
            assert cost(space.canonical(architecture)) == cost(architecture)

    def test_connected_is_idempotent(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            connected = space.connected(architecture)
            if connected is not None:
                assert space.contains(connected)
                assert space.connected(connected) == connected

    # -- features ----------------------------------------------------------------------------

    def test_features_are_finite(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for name in [*space.features(), "random:0"]:
            values = [space.feature(name, architecture) for architecture in architectures]
            assert all(math.isfinite(value) for value in values), name
            assert values == [space.feature(name, a) for a in architectures], name


def some_architectures(space: SearchSpace, count: int) -> list[Architecture]:
    """Random architectures, and those of all first and all last options where they exist."""
    rng = random.Random(0)
    corners = [
        Architecture(space.name, tuple(decision.options[end] for decision in space.decisions))
        for end in (0, -1)
    ]
    return [c for c in corners if space.contains(c)] + [space.sample(rng) for _ in range(count)]


def differing(one: Architecture, other: Architecture) -> int:
    """Number of decisions in which two architectures differ."""
    return sum(a != b for a, b in zip(one.choices, other.choices, strict=True))


def _skip_if_large(space: SearchSpace) -> None:
    if space.size() > ENUMERABLE:
        pytest.skip(f"{space.size():,} architectures are not enumerated")


def _marginal(space: SearchSpace, place: int) -> dict[Option, float]:
    """Share of the architectures that have each option; spaces need not be products."""
    options = space.decisions[place].options
    if space.size() > 20_000:
        return dict.fromkeys(options, 1 / len(options))
    counts = Counter(architecture.choices[place] for architecture in space.enumerate())
    return {option: counts[option] / space.size() for option in options}


def _require_frequencies(drawn: Iterable[object], probability: Mapping[Any, float]) -> None:
    counts = Counter(drawn)
    draws = counts.total()
    assert set(counts) <= set(probability)
    for value, p in probability.items():
        allowed = SIGMAS * math.sqrt(draws * p * (1 - p)) + 1
        assert abs(counts[value] - draws * p) <= allowed, (value, counts[value], draws * p)
