"""``images=DIR flops=30M``: words that stand for settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.helptext import settings_help
from fewshot_core.recipe.load import load_recipe, recipe_yaml
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.short_forms import SHORT_FORMS, write_out


def test_a_short_form_stands_where_it_was_written() -> None:
    pairs = [("seed", "1"), ("images", "a"), ("flops", "30M"), ("data.root", "b")]
    assert write_out(pairs) == [
        ("seed", "1"),
        ("data.source", "images"),
        ("data.look", "true"),
        ("data.root", "a"),
        ("constraint.flops", "30M"),
        ("data.root", "b"),
    ]


def test_images_without_a_recipe_have_one(tmp_path: Path) -> None:
    loaded = load_recipe([f"images={tmp_path}", "params=2M", "latency=20"])
    recipe = loaded.recipe
    assert (recipe.recipe, recipe.task) == ("mobile_auto", "imagenet")
    assert (recipe.data.source, recipe.data.root) == ("images", str(tmp_path))
    assert recipe.data.look
    assert (recipe.constraint.params, recipe.constraint.latency) == (2e6, 20)
    assert loaded.overrides == (f"images={tmp_path}", "params=2M", "latency=20")


def test_a_recipe_that_is_named_counts(tmp_path: Path) -> None:
    recipe = load_recipe(["recipe=digits", f"images={tmp_path}"]).recipe
    assert (recipe.recipe, recipe.data.source) == ("digits", "images")


def test_a_run_has_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe_yaml(load_recipe(["recipe=digits"]).recipe))
    loaded = load_recipe([f"run={tmp_path}", f"images={tmp_path}"])
    assert loaded.of_run
    assert loaded.recipe.recipe == "digits"


def test_what_was_chosen_is_below_what_anybody_says() -> None:
    chosen = {"supernet.epochs": 7, "search.trials": 11, "data.test_root": "/none"}
    loaded = load_recipe(["recipe=digits", "search.trials=5"], chosen=chosen)
    assert loaded.recipe.search.trials == 5
    before = load_recipe(["recipe=digits"]).recipe
    assert loaded.recipe.supernet.epochs == before.supernet.epochs  # which its file gives
    assert loaded.recipe.data.test_root is None  # nothing reads it with the digits
    auto = load_recipe(["images=x"], chosen=chosen)
    assert (auto.recipe.supernet.epochs, auto.recipe.search.trials) == (7, 11)
    assert "supernet.epochs" not in auto.given
    assert {"data.root", "supernet.weight_decay"} <= auto.given


def test_wrong_values_are_told_by_the_full_name() -> None:
    with pytest.raises(RecipeError, match=r"constraint\.flops=many is not a number"):
        load_recipe(["images=x", "flops=many"])


def test_help_has_them() -> None:
    text = settings_help(Recipe())
    assert all(f"  {word}=" in text for word in SHORT_FORMS)
