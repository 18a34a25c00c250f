from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import LoadedRecipe, load_recipe

from . import fake_task

FAKE_TASK = f"{fake_task.__name__}:TASK"

Write = Callable[[str, str], Path]
Load = Callable[..., LoadedRecipe]
Refusal = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a recipe into a folder of its own; it has the fake task unless it names one."""

    def _write(name: str, text: str) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        task = "" if "task:" in text or "extends:" in text else f"task: {FAKE_TASK}\n"
        path.write_text(task + text)
        return path

    return _write


@pytest.fixture
def load(tmp_path: Path, write: Write) -> Load:
    """Load ``recipe=demo`` from that folder, with a demo recipe of that text."""

    def _load(*words: str, text: str = "") -> LoadedRecipe:
        write("demo", text)
        return load_recipe(["recipe=demo", *words], recipes_dir=tmp_path)

    return _load


@pytest.fixture
def refusal(load: Load) -> Refusal:
    """The one line with which the words or the text are refused."""

    def _refusal(*words: str, text: str = "") -> str:
        with pytest.raises(RecipeError) as caught:
            load(*words, text=text)
        line = str(caught.value)
        assert "\n" not in line
        return line

    return _refusal
