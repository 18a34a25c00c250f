"""Readers of what users and other programs write: whatever comes, they say no in one line.

``FEWSHOT_FUZZ=20`` multiplies the number of inputs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fewshot_core.errors import FewshotError
from fewshot_core.recipe.load import load_recipe, recipe_from_file
from fewshot_core.recipe.yamltext import parse_value, read_mapping
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.files import read_json
from fewshot_core.search.study import open_study
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import SearchSpace
from fewshot_core.spaces.splitters import ByDecision
from fewshot_core.testing.toys import toy_space
from fewshot_core.trust.scores import ScoreLog, read_table
from fewshot_tasks.autogan.space import generator_space
from fewshot_tasks.cifar10.space import nasbench201
from fewshot_tasks.imagenet.space import proxyless
from fewshot_tasks.imagenet.task import TASK as IMAGENET

from .conftest import Inputs

CELLS, TOY = nasbench201(), toy_space(3, 4)
MOBILE = IMAGENET.space(load_recipe(["recipe=mobile_digits"]).recipe)
SPACES = [CELLS, TOY, MOBILE, proxyless(), generator_space()]
DEEP = "[" * 100_000
LONG = "9" * 5_000

pytestmark = pytest.mark.slow


def mutated(texts: list[str]) -> st.SearchStrategy[str]:
    """Texts that nearly are what a reader expects: pieces changed, doubled, dropped or moved."""

    def change(arguments: tuple[str, int, int, str, int]) -> str:
        text, begin, length, piece, kind = arguments
        begin %= len(text) + 1
        end = min(len(text), begin + length)
        part = text[begin:end]
        middle = {0: piece, 1: part + piece + part, 2: "", 3: part[::-1], 4: part + part}[kind]
        return text[:begin] + middle + text[end:]

    once = st.tuples(
        st.sampled_from(texts),
        st.integers(0, 10_000),
        st.integers(0, 12),
        st.text(max_size=6) | st.sampled_from(["|", "~", "+", ",", "\n", '"', "\0", "e999", "-1"]),
        st.integers(0, 4),
    )
    return once.map(change) | st.text(max_size=60)


def values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=8,
    )


def nearly(value: Any) -> st.SearchStrategy[Any]:
    """The JSON value with one part of it replaced, dropped or doubled."""

    def change(arguments: tuple[int, int, Any]) -> Any:
        seed, kind, other = arguments
        copy, rng = json.loads(json.dumps(value)), random.Random(seed)
        node = copy
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                return other
            key = rng.choice(keys)
            below = node[key]
            if isinstance(below, dict | list) and below and rng.random() < 0.7:
                node = below
            elif kind == 0:
                node[key] = other
                return copy
            elif kind == 1:
                del node[key]
                return copy
            elif isinstance(node, list):
                node.append(below)
                return copy
            else:
                node["surprise"] = below
                return copy

    return st.tuples(st.integers(0, 10**6), st.integers(0, 2), values()).map(change)


def says_no_or_yes(read: Callable[[], object]) -> None:
    try:
        read()
    except FewshotError as error:
        if "\n" in str(error):
            raise AssertionError("more than one line") from error


def genotypes(space: SearchSpace) -> list[str]:
    rng = random.Random(0)
    return [space.genotype(space.sample(rng)) for _ in range(20)]


# -- architectures and regions -----------------------------------------------------------


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_genotypes(space: SearchSpace, fuzzed: Inputs) -> None:
    @fuzzed.of(1000)
    @example(DEEP)
    @example(LONG)
    @example(f"[{LONG}]")
    @given(mutated(genotypes(space)))
    def check(text: str) -> None:
        fuzzed()
        says_no_or_yes(lambda: space.parse(text))

    check()


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_architectures_in_json(space: SearchSpace, fuzzed: Inputs) -> None:
    @fuzzed.of(500)
    @given(nearly(space.to_json(space.sample(random.Random(0)))) | values())
    def check(value: Any) -> None:
        fuzzed()
        says_no_or_yes(lambda: space.from_json(value))

    check()


def test_trees_of_regions(fuzzed: Inputs) -> None:
    root = Region.root(TOY)
    tree = RegionTree(root).grow(ByDecision(TOY.decisions[0].name))

    @fuzzed.of(700)
    @given(nearly(tree.to_json()) | values())
    def check(value: Any) -> None:
        fuzzed()
        says_no_or_yes(lambda: RegionTree.from_json(TOY, value))

    check()


# -- tables --------------------------------------------------------------------------------

TABLE = "architecture,accuracy\n" + "".join(f'"{g}",{i}.5\n' for i, g in enumerate(genotypes(TOY)))


def test_score_tables(tmp_path: Path, fuzzed: Inputs) -> None:
    path = tmp_path / "table.csv"

    @fuzzed.of(1000)
    @given(mutated([TABLE]).map(lambda text: text.encode("utf-8", "replace")) | st.binary())
    def check(content: bytes) -> None:
        fuzzed()
        path.write_bytes(content)
        says_no_or_yes(lambda: read_table(path, "accuracy"))

    check()


def test_score_logs(tmp_path: Path, fuzzed: Inputs) -> None:
    path = tmp_path / "log.csv"

    @fuzzed.of(500)
    @given(mutated([TABLE]).map(lambda text: text.encode("utf-8", "replace")) | st.binary())
    def check(content: bytes) -> None:
        fuzzed()
        path.write_bytes(content)
        says_no_or_yes(lambda: ScoreLog(path, ("architecture", "accuracy")).close())

    check()


# -- files of a run ------------------------------------------------------------------------


def test_states_of_trainings(tmp_path: Path, fuzzed: Inputs) -> None:
    whole = {"step": 4, "steps": 9, "file": "step-4.pt", "sha256": "0", "history": [[0, 1.5]]}

    @fuzzed.of(900)
    @example(DEEP)
    @example(LONG)
    @given(nearly(whole).map(json.dumps) | values().map(json.dumps) | mutated([json.dumps(whole)]))
    def check(text: str) -> None:
        fuzzed()
        (tmp_path / "state.json").write_bytes(text.encode("utf-8", "replace"))
        stage = StageCheckpoint(tmp_path)
        says_no_or_yes(stage.newest)
        says_no_or_yes(stage.load_finished)
        says_no_or_yes(lambda: read_json(tmp_path / "state.json"))

    check()


def test_studies(tmp_path: Path, fuzzed: Inputs) -> None:
    path = tmp_path / "study.log"
    study = open_study(path, "search")
    study.set_user_attr("a", 1)
    lines = path.read_text()

    @fuzzed.of(300)
    @example("[" * 5_000)
    @given(mutated([lines]))
    def check(text: str) -> None:
        fuzzed()
        path.write_bytes(text.encode("utf-8", "replace"))
        says_no_or_yes(lambda: open_study(path, "search"))

    check()


# -- recipes -------------------------------------------------------------------------------

RECIPE = (Path(__file__).parents[2] / "recipes" / "digits.yaml").read_text()


def test_yaml(tmp_path: Path, fuzzed: Inputs) -> None:
    path = tmp_path / "recipe.yaml"

    @fuzzed.of(1000)
    @example("a: " + "[" * 5_000)
    @example("a: &a [*a]")
    @example(f"seed: {LONG}")
    @example("a: !!python/object/apply:os.system ['touch executed']")
    @given(mutated([RECIPE, "a: [1, 2]\nb: {c: d}\n"]))
    def check(text: str) -> None:
        fuzzed()
        path.write_bytes(text.encode("utf-8", "replace"))
        says_no_or_yes(lambda: read_mapping(path))
        says_no_or_yes(lambda: parse_value(text))

    check()


def test_recipe_files(tmp_path: Path, fuzzed: Inputs) -> None:
    path = tmp_path / "recipe.yaml"

    @fuzzed.of(250)
    @example("data: &a {source: *a}")
    @example(f"seed: {LONG}")
    @example("seed: " + "[" * 500 + "]" * 500)
    @given(mutated([RECIPE]))
    def check(text: str) -> None:
        fuzzed()
        path.write_bytes(text.encode("utf-8", "replace"))
        says_no_or_yes(lambda: recipe_from_file(path))

    check()


def test_words(fuzzed: Inputs) -> None:
    words = [
        "seed=3", "supernet.epochs=2.5", "split=groups", "split.groups=[[a,b],[c]]",
        "constraint.flops=300M", "data.root=/x", "strategy=tpe", "network.channels=4",
    ]  # fmt: skip

    @fuzzed.of(250)
    @given(st.lists(mutated(words), min_size=1, max_size=3))
    def check(given_words: list[str]) -> None:
        fuzzed()
        says_no_or_yes(lambda: load_recipe(["recipe=digits", *given_words]))

    check()
