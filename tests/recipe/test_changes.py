"""Changes to a run's recipe: which change no result, and what tools say of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import (
    changes_no_result,
    differences,
    free_settings,
    identity,
    load_recipe,
    recipe_yaml,
    with_changes,
)
from fewshot_core.recipe.tool_words import parse_words

from .conftest import Load

KEYS = {"run": Path | None, "recipe": "", "architecture": ""}
FREE = {
    *("description", "processes", "grace_seconds", "checkpoint_steps", "estimate", "track"),
    *("data.root", "data.test_root", "data.download", "data.look", "data.workers"),
    *("evaluator.table", "search.silence"),
}


@pytest.fixture
def run(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of ``demo``, as ``runs/demo`` of the working directory."""
    folder = tmp_path / "runs" / "demo"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    recipe = load("data=images", "data.root=/old", "retrain.epochs=40").recipe
    (folder / "recipe.yaml").write_text(recipe_yaml(recipe))
    return folder


def refusal(words: list[str], *, settings: bool = True) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_words(words, KEYS, settings=settings)
    return str(caught.value)


def test_settings_that_change_no_result() -> None:
    assert set(free_settings()) == FREE
    assert changes_no_result("data.root")
    assert not changes_no_result("retrain.epochs")
    assert not changes_no_result("metric.weights")  # which other tasks do not have
    gan = load_recipe(["recipe=autogan"]).recipe
    of_others = {"evaluator.table"}  # which another evaluator has
    assert set(free_settings(gan)) == FREE - of_others | {"metric.weights", "metric.cache"}
    text = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()
    assert all(f"`{key}`" in text for key in free_settings(gan))


def test_a_teacher_may_move_but_not_change_its_name(load: Load) -> None:
    one, moved, other, none = (
        load(*words).recipe
        for words in (
            ["retrain.teacher=local-dir:/a"],
            ["retrain.teacher=local-dir:/b"],
            ["retrain.teacher=resnet18"],
            [],
        )
    )
    assert differences(one, moved) == []
    assert differences(one, other) == ["retrain.teacher: 'local-dir:/a' -> 'resnet18'"]
    assert differences(none, one) == ["retrain.teacher: None -> 'local-dir:/a'"]


def test_with_changes(load: Load) -> None:
    recipe = load("data=images", "data.root=/old").recipe
    changed = with_changes(recipe, ["data.root=/new", "grace_seconds=5", "seed=0"])
    assert (changed.data.root, changed.grace_seconds) == ("/new", 5.0)
    assert differences(recipe, changed) == []
    assert identity(recipe) == identity(changed)
    assert identity(recipe) != identity(load("seed=1").recipe)
    assert recipe.data.root == "/old"
    for word, part in {
        "retrain.epochs=3": "found: retrain.epochs=10 in the recipe of this run",
        "data.source=digits": "data.source=digits is a setting of the run's recipe",
        "retrain.epoch=3": "did you mean 'retrain.epochs'?",
        "evaluator.table=/x": "evaluator.table=/x has no effect with evaluator.name=inherited",
        "data.workers=x": "data.workers=x is not a whole number",
    }.items():
        with pytest.raises(RecipeError) as caught:
            with_changes(recipe, [word])
        assert part in str(caught.value)


def test_a_run_is_continued_with_its_own_recipe(run: Path) -> None:
    loaded = load_recipe(["run=runs/demo"])
    assert (loaded.recipe.recipe, loaded.recipe.retrain.epochs) == ("demo", 40.0)
    assert (loaded.run, loaded.overrides) == (Path("runs/demo"), ())
    changed = load_recipe(["run=runs/demo", "retrain.epochs=5", "data.root=/new"])
    assert differences(loaded.recipe, changed.recipe) == ["retrain.epochs: 40.0 -> 5.0"]
    assert changed.recipe.data.root == "/new"
    assert changed.overrides == ("retrain.epochs=5", "data.root=/new")
    with pytest.raises(RecipeError, match=r"strategy\.population=5 has no effect"):
        load_recipe(["run=runs/demo", "strategy=random", "strategy.population=5"])


def test_a_folder_without_a_run_needs_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe= is missing \| found: run=.* holds no run yet"):
        load_recipe([f"run={tmp_path}"])


# -- words of tools ------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["run=runs/demo", "recipe=demo"])
def test_a_tool_says_what_a_setting_is_in_the_run(run: Path, named: str) -> None:
    line = refusal([named, "retrain.epochs=5"])
    assert "retrain.epochs=5 is a setting of the run's recipe and would change its" in line
    assert "found: retrain.epochs=40 in" in line
    assert "fewshot search recipe=demo retrain.epochs=5 run=DIR" in line
    assert "unknown" not in line


def test_a_tool_hands_settings_on_that_change_nothing(run: Path) -> None:
    words = ["run=runs/demo", "data.root=/new", "architecture=a", "data.root=/newer"]
    options = parse_words(words, KEYS, settings=True)
    assert options["settings"] == ["data.root=/newer"]
    assert options["architecture"] == "a"
    assert parse_words(["run=runs/demo"], KEYS, settings=True)["settings"] == []
    assert "settings" not in parse_words(["run=runs/demo"], KEYS)


def test_a_tool_that_takes_none_says_where_they_belong(run: Path) -> None:
    line = refusal(["run=runs/demo", "data.root=/new"], settings=False)
    assert "data.root=/new is a setting of the run's recipe, and this tool takes none" in line
    assert "fewshot search run=runs/demo" in line


def test_settings_without_a_run(run: Path) -> None:
    assert "belongs to fewshot search" in refusal(["retrain.epochs=5"])
    assert "belongs to fewshot search" in refusal(["run=other", "retrain.epochs=5"])
    assert "unknown setting 'nonsense'" in refusal(["run=other", "nonsense=5"])


def test_a_recipe_that_is_not_the_runs(run: Path) -> None:
    assert parse_words(["run=runs/demo", "recipe=demo"], KEYS)["recipe"] == "demo"
    line = refusal(["run=runs/demo", "recipe=digits"])
    assert "recipe=digits is not the recipe of run=runs/demo | found: recipe=demo" in line
