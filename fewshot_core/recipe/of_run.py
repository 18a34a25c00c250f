"""Words of tools that work on a run: which run they name, and settings of its recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.changes import Change
from fewshot_core.recipe.load import KEPT, recipe_from_file, with_changes
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.yamltext import read_mapping


def run_named(options: Mapping[str, Any]) -> Path | None:
    """The run folder that ``run=DIR`` names, or ``recipe=NAME``; None where neither is given."""
    if options.get("run") is not None:
        return Path(options["run"])
    return Path("runs") / options["recipe"] if options.get("recipe") else None


def require_one_run(options: Mapping[str, Any]) -> None:
    """Raise where ``run=`` and ``recipe=`` are given and the run is one of another recipe.

    Raises:
        RecipeError: It is.
    """
    run, name = options.get("run"), options.get("recipe")
    if run is None or not name or not (run / KEPT).is_file():
        return
    found = read_mapping(run / KEPT).get("recipe")
    if found != Path(name).name.removesuffix(".yaml").removesuffix(".yml"):
        raise RecipeError(
            f"recipe={name} is not the recipe of run={run}",
            found=f"recipe={found}",
            fix="leave one of the two words out",
        )


def require_free(
    words: Sequence[str],
    options: Mapping[str, Any],
    keys: Collection[str],
    *,
    taken: bool,
    also: Collection[Change] = (),
) -> None:
    """Raise unless settings of a recipe may be given to a tool that works on a run.

    Args:
        words: The settings, ``key=value``.
        options: The other words, which name the run.
        keys: The words that the tool has.
        taken: Whether it takes settings that change no result.
        also: Other changes that it takes.

    Raises:
        RecipeError: A setting would change the results of the run, or there is no run.
    """
    if not words:
        return
    run, (key, _, value) = run_named(options), words[0].partition("=")
    if run is None or not (run / KEPT).is_file():
        raise RecipeError(
            f"{key}={value} is a setting of a recipe, which belongs to fewshot search",
            allowed=", ".join(f"{name}=" for name in keys),
        )
    with_changes(recipe_from_file(run / KEPT), words, also)
    if not taken:
        raise RecipeError(
            f"{key}={value} is a setting of the run's recipe, and this tool takes none",
            allowed=", ".join(f"{name}=" for name in keys),
            fix=f"give it to fewshot search run={run}",
        )


def is_setting(key: str) -> bool:
    """Whether a key may be one of a recipe; sections of tasks are known by their dots."""
    section, dot, _ = key.partition(".")
    return bool(dot) or section in {field.name for field in dataclasses.fields(Recipe)}
