"""Settings as values of Python mean what the words of a command line mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fewshot_core.api.words import write_text, write_words
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.yamltext import parse_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("30M", "30M"),
        ("", ""),
        ("|nor_conv_3x3~0|", "|nor_conv_3x3~0|"),
        (Path("my/images"), "my/images"),
        (None, "none"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (0.1, "0.1"),
        (1e-5, "1.0e-05"),
        (float("inf"), ".inf"),
        (np.float32(0.5), "0.5"),
        (np.int64(7), "7"),
        (np.bool_(True), "true"),
        (torch.tensor(3), "3"),
        ([1, 2], "[1, 2]"),
        ((1, None, "a"), "[1, null, a]"),
        (range(3), "[0, 1, 2]"),
        (["true", "1", "no"], "['true', '1', 'no']"),
        ([Path("a/b")], "[a/b]"),
        ([{"by": "decision", "decision": "x"}], "[{by: decision, decision: x}]"),
        ({}, "{}"),
    ],
    ids=repr,
)
def test_a_value_is_written_as_on_the_command_line(value: object, text: str) -> None:
    assert write_text("key", value) == text


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner)
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(st.lists(VALUES, max_size=4))
def test_what_is_written_is_read_as_the_same(value: list[Any]) -> None:
    assert parse_value(write_text("key", value)) == value


@pytest.mark.parametrize("value", [{1, 2}, object(), np.zeros(2), b"x", lambda: 0, [{3}]])
def test_a_value_of_another_kind_is_named(value: object) -> None:
    with pytest.raises(RecipeError, match=r"seed has a value of a kind .* found: \w+ \| allowed:"):
        write_text("seed", value)


def test_sections_and_dotted_keys_are_one() -> None:
    dotted = {"supernet.epochs": 5, "strategy": "tpe"}
    nested = {"supernet": {"epochs": 5}, "strategy": "tpe"}
    assert write_words(dotted) == write_words(nested) == ["supernet.epochs=5", "strategy=tpe"]
    assert write_words({"a": {"b": {"c": 1}, "d": {}}}) == ["a.b.c=1", "a.d={}"]


def test_a_later_layer_counts_setting_by_setting() -> None:
    words = write_words({"supernet.epochs": 5, "supernet.lr": 0.1}, {"supernet": {"epochs": 6}})
    assert words == ["supernet.epochs=6", "supernet.lr=0.1"]


def test_words_of_python_can_be_keys() -> None:
    assert write_words({"from_": Path("runs/a")}) == ["from=runs/a"]


@pytest.mark.parametrize("layer", [{"": 1}, {3: 1}, {"a=b": 1}, {"a": {None: 1}}])
def test_a_key_that_is_no_name(layer: dict[Any, object]) -> None:
    with pytest.raises(RecipeError, match="has a key that is no name"):
        write_words(layer)


def test_recipes_understand_them() -> None:
    recipe = load_recipe(
        write_words(
            {"recipe": "digits", "seed": np.int64(3)},
            {"supernet": {"epochs": 2.5, "paths": "fair"}, "constraint": {"flops": "1M"}},
            {"data": {"limit": None}, "retrain.compare": ("random",), "channels_last": True},
        )
    ).recipe
    assert (recipe.seed, recipe.supernet.epochs, recipe.supernet.paths.policy) == (3, 2.5, "fair")
    assert (recipe.constraint.flops, recipe.data.limit) == (1e6, None)
    assert (recipe.retrain.compare, recipe.channels_last) == (["random"], True)
