"""From the words of a command line to a checked :class:`Recipe`.

The result depends on the words and on the recipe's files, and on nothing else: no clock, no host
name. So every process of a launch arrives at the same settings without asking the others. One
environment variable can allow a task of the user's own, and changes no setting.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fewshot_core.errors import RecipeError
from fewshot_core.metrics import scores_of
from fewshot_core.recipe.check import RENAMED, check
from fewshot_core.recipe.find import RecipeFile, find_recipe, list_recipes, read_chain
from fewshot_core.recipe.keys import Layout, flatten
from fewshot_core.recipe.merge import Merger
from fewshot_core.recipe.schema import TASK_SECTIONS, Recipe
from fewshot_core.recipe.words import plain_path, raise_problems, split_words
from fewshot_core.recipe.yamltext import dump, parse_value
from fewshot_core.registry import load_description

__all__ = [
    "LoadedRecipe",
    "differences",
    "list_recipes",
    "load_recipe",
    "recipe_from_file",
    "recipe_yaml",
]


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, and how it was asked for."""

    recipe: Recipe
    overrides: tuple[str, ...]  # the words but `recipe=` and `run=`, as they were written
    run: Path | None  # the run folder, where one was named


def load_recipe(argv: Sequence[str], *, recipes_dir: Path | None = None) -> LoadedRecipe:
    """Read ``recipe=NAME key=value ...``.

    Args:
        argv: The words. ``recipe=`` takes a name or the path of a ``.yaml`` file; ``run=DIR``
            names the run folder and is not a part of the recipe.
        recipes_dir: Where recipes are looked up instead of the usual folders.

    Raises:
        RecipeError: One line with everything that is wrong.
    """
    pairs, problems = split_words(argv)
    raise_problems(problems)
    name = _single(pairs, "recipe")
    run = _single(pairs, "run")
    if name is None:
        known = ", ".join(known for known, _ in list_recipes(recipes_dir)) or "none were found"
        raise RecipeError("recipe= is missing", allowed=known, fix="add recipe=NAME")
    folder = None if run is None else plain_path("run", run)
    path = find_recipe(name, recipes_dir)
    overrides = [(key, text) for key, text in pairs if key not in ("recipe", "run")]
    recipe = _resolve(read_chain(path, recipes_dir), overrides)
    return LoadedRecipe(recipe, tuple(f"{key}={text}" for key, text in overrides), folder)


def recipe_from_file(path: Path) -> Recipe:
    """The recipe that one file holds, such as the resolved ``recipe.yaml`` of a run folder.

    Raises:
        RecipeError: The file is missing, damaged or not a recipe.
    """
    return _resolve(read_chain(path), [])


def recipe_yaml(recipe: Recipe) -> str:
    """Every setting of the recipe as YAML; loading the text gives an equal recipe."""
    data = OmegaConf.to_container(OmegaConf.structured(recipe), enum_to_str=True)
    assert isinstance(data, dict)
    # Sections that the task does not have are no settings.
    return dump({k: v for k, v in data.items() if v is not None or k not in TASK_SECTIONS})


TRUSTED = "FEWSHOT_TASKS"
"""Environment variable with the tasks of the user's own that files may name, by commas."""

WITHOUT_EFFECT = ("description", "processes", "grace_seconds", "search.silence")
"""Settings about how a run works and not about what it finds; they may change under way."""


def differences(a: Recipe, b: Recipe, *, ignore: Collection[str] = WITHOUT_EFFECT) -> list[str]:
    """The settings in which two recipes differ, as ``key: value of a -> value of b``.

    Args:
        a: A recipe.
        b: Another.
        ignore: Dotted keys that may differ.
    """
    left, right = flatten(dataclasses.asdict(a)), flatten(dataclasses.asdict(b))
    keys = [key for key in {**left, **right} if key not in ignore]
    absent = "absent"
    return [
        f"{key}: {left.get(key, absent)!r} -> {right.get(key, absent)!r}"
        for key in keys
        if key not in left or key not in right or left[key] != right[key]
    ]


def _single(pairs: Sequence[tuple[str, str]], key: str) -> str | None:
    values = [text for name, text in pairs if name == key]
    if len(values) > 1:
        raise RecipeError(f"{key}= is given twice", found=", ".join(values))
    if values == [""]:
        raise RecipeError(f"{key}= is empty")
    return values[0] if values else None


def _resolve(chain: Sequence[RecipeFile], overrides: Sequence[tuple[str, str]]) -> Recipe:
    layers = [*map(_unnamed, chain[:-1]), _named(chain[-1])]
    words = [(key, parse_value(text)) for key, text in overrides]
    name = _task_name(layers, words)
    if not any(key == "task" for key, _ in words):
        _require_trusted(name)
    task = load_description(name)
    sections: Mapping[str, type] = getattr(task, "sections", {})
    config = OmegaConf.structured(Recipe)
    for name, settings in {"network": task.settings, **sections}.items():
        config[name] = OmegaConf.structured(settings)
    merger = Merger(Layout(task.settings, sections), config)
    for layer in layers:
        merger.add_file(layer.path, layer.content)
    merger.add_overrides(words)
    recipe = _to_recipe(config)
    # Settings that could not be taken over keep their defaults, so the combinations of the others
    # can be checked in the same round.
    raise_problems([*merger.problems, *check(recipe, scores_of(task))])
    return recipe


def _require_trusted(name: str) -> None:
    """A file may name a task that comes along, and no code of its writer's choice."""
    own = ":" in name
    if own and name.partition(":")[0] not in sys.modules:
        trusted = os.environ.get(TRUSTED, "").split(",")
        if name not in trusted:
            raise RecipeError(
                f"the recipe file names code of its own: task={name}",
                fix=f"if you trust it, set {TRUSTED}={name} in the environment",
            )


def _to_recipe(config: DictConfig) -> Recipe:
    recipe = OmegaConf.to_object(config)
    assert isinstance(recipe, Recipe)
    recipe.strategy.name = RENAMED.get(recipe.strategy.name, recipe.strategy.name)
    return recipe


def _named(file: RecipeFile) -> RecipeFile:
    # A run folder's recipe.yaml keeps the name it was made from.
    return dataclasses.replace(file, content={"recipe": file.path.stem, **file.content})


def _unnamed(file: RecipeFile) -> RecipeFile:
    content = {key: value for key, value in file.content.items() if key != "recipe"}
    return dataclasses.replace(file, content=content)


def _task_name(layers: Sequence[RecipeFile], words: Sequence[tuple[str, Any]]) -> str:
    given: list[Mapping[str, Any]] = [layer.content for layer in layers]
    given += [{key: value} for key, value in words]
    found = [item["task"] for item in given if "task" in item]
    name = found[-1] if found else Recipe.task
    if not isinstance(name, str):
        raise RecipeError("task takes a name", found=name)
    return name
