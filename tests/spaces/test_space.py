from __future__ import annotations

import json
import random
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewshot_core.errors import ArchitectureError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import (
    Architecture,
    Decision,
    PartEncoding,
    SearchSpace,
    read_architectures,
)
from fewshot_core.testing.spaces import Cost, SpaceSuite
from fewshot_core.testing.toys import total, toy_space

MIXED = SearchSpace(
    "mixed", (Decision("kernel", (3, 5)), Decision("ratio", (0.5, 1.0)), Decision("op", ("x", "y")))
)


class TestToySpace(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return toy_space()

    @pytest.fixture
    def cost(self) -> Cost:
        return total


class TestMixedOptions(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return MIXED


class TestHugeSpace(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return toy_space(*[7] * 40)


class TestSpaceOfOne(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return toy_space(1, 1)


# --- decisions and spaces


@pytest.mark.parametrize("options", [(), (1, 1), ("x", "y", "x")])
def test_a_decision_has_distinct_options(options: tuple[object, ...]) -> None:
    with pytest.raises(ArchitectureError, match="'a' needs distinct options"):
        Decision("a", options)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_a_space_has_distinct_decisions(names: tuple[str, ...]) -> None:
    with pytest.raises(ArchitectureError, match="needs distinct decisions"):
        SearchSpace("s", tuple(Decision(name, (1, 2)) for name in names))


def test_the_last_decision_changes_fastest() -> None:
    choices = [architecture.choices for architecture in toy_space(2, 2).enumerate()]
    assert choices == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_an_id_is_the_same_in_every_process() -> None:
    code = (
        "from fewshot_core.spaces.space import Architecture\n"
        "print(Architecture('s', (1, 'x', 0.5)).id)"
    )
    # Another hash seed, because an id made with hash() would differ only then.
    environment = {"PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == Architecture("s", (1, "x", 0.5)).id == "d447a9542eb7"


def test_ids_tell_spaces_and_types_apart() -> None:
    ids = {Architecture("s", (1,)).id, Architecture("t", (1,)).id, Architecture("s", ("1",)).id}
    assert len(ids) == 3


def test_mutation_needs_a_second_option() -> None:
    space = toy_space(1, 1)
    with pytest.raises(ArchitectureError, match="single architecture"):
        space.mutate(next(space.enumerate()), random.Random(0))


def test_mutation_prefers_no_decision() -> None:
    space = toy_space(2, 7)
    parent, rng = next(space.enumerate()), random.Random(0)
    children = [space.mutate(parent, rng) for _ in range(2000)]
    share = sum(child.choices[0] != parent.choices[0] for child in children) / 2000
    assert share == pytest.approx(0.5, abs=0.06)  # and not 1 in 7


# --- reading choices, genotypes and JSON


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"a": 0, "b": 0}, "'c' is missing"),
        ({"a": 0, "b": 0, "c": 9}, "'c' has no option 9"),
        ({"a": 0, "b": 0, "c": 0, "d": 0}, "no decision 'd'"),
        ({"a": 0, "b": 0, "c": [0]}, r"'c' has no option \[0\]"),
    ],
)
def test_wrong_choices_are_refused(choices: dict[str, int], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        toy_space().architecture(choices)


@pytest.mark.parametrize(
    "text", ["", "x", "[", "{}", "null", "[0,0]", "[0,0,9]", "[0,0,0,0]", "[0,0,[]]", "[0,0,{}]"]
)
def test_malformed_genotypes_are_refused(text: str) -> None:
    with pytest.raises(ArchitectureError):
        toy_space().parse(text)


@given(st.text() | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_nothing_but_an_architecture_error_escapes_from_parse(text: str) -> None:
    space = toy_space()
    with suppress(ArchitectureError):
        assert space.contains(space.parse(text))


@pytest.mark.parametrize("value", [None, [], {}, {"choices": []}, {"choices": {"a": 0}}])
def test_malformed_json_is_refused(value: object) -> None:
    with pytest.raises(ArchitectureError):
        toy_space().from_json(value)  # type: ignore[arg-type]


def test_json_of_another_space_is_refused() -> None:
    value = toy_space(2, 2).to_json(Architecture("toy2x2", (0, 1)))
    with pytest.raises(ArchitectureError, match="'toy2x2', not of 'toy2x3'"):
        toy_space(2, 3).from_json(value)


@pytest.mark.parametrize("text", ["[true,0,0]", "[0.0,0,0]"])
def test_equal_values_of_another_type_become_the_option(text: str) -> None:
    """1 == True == 1.0 in Python; an architecture's id and genotype must not depend on it."""
    space = toy_space()
    architecture = space.parse(text)
    assert space.genotype(architecture) in ("[1,0,0]", "[0,0,0]")
    assert architecture.id in {a.id for a in space.enumerate()}


def test_a_list_of_genotypes_names_the_bad_row() -> None:
    space = toy_space()
    assert len(read_architectures(space, ["[0,0,0]", "[1,2,3]"])) == 2
    with pytest.raises(ArchitectureError, match=r"row 2: .*no option 9"):
        read_architectures(space, ["[0,0,0]", "[0,0,9]"])


# --- features


def test_an_unknown_feature_names_the_near_one() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'sum'"):
        toy_space().feature("sums", next(toy_space().enumerate()))


def test_random_features_are_uniform_and_differ_by_seed() -> None:
    space = toy_space(10, 10, 10)
    one = [space.feature("random:1", a) for a in space.enumerate()]
    two = [space.feature("random:2", a) for a in space.enumerate()]
    assert one != two
    assert all(0 <= value < 1 for value in one)
    counts = [sum(k / 4 <= value < (k + 1) / 4 for value in one) for k in range(4)]
    assert all(200 < count < 300 for count in counts)


# --- numbers


def test_codes_are_places_of_options() -> None:
    space = SearchSpace("s", (Decision("a", (3, 5, 7)), Decision("b", ("x", "y"))))
    assert space.encode(Architecture("s", (7, "x"))) == (2, 0)
    region = Region.root(space).restrict("a", (5, 7))
    assert region.encode(Architecture("s", (7, "x"))) == (1, 0)


def test_the_preferred_option_of_each_decision_is_derived() -> None:
    space = SearchSpace("s", (Decision("a", (3, 5, 7)), Decision("b", ("x", "y"))))
    preferences = {"a": {5: -1.0, 7: -0.5}, "b": {"x": -2.0, "y": -2.0}}
    assert space.derive(preferences) == Architecture("s", (7, "x"))  # of equals the first


def test_parts_have_places() -> None:
    space = SearchSpace("s", (Decision("a", (3, 5, 7)), Decision("b", ("x", "y"))))
    known = [Architecture("s", (7, "x")), Architecture("s", (3, "x"))]
    encoding = PartEncoding(space, known)
    assert [encoding.encode(a) for a in known] == [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]
    assert encoding.encode(Architecture("s", (5, "y"))) == [0.0, 0.0, 0.0]  # never seen
