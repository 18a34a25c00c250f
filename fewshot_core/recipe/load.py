"""From the words of a command line to a checked :class:`Recipe`.

The result depends on the words, on the recipe's files and on the working directory, from which
relative paths are put in full, and on nothing else: no clock, no host name. So every process of a
launch arrives at the same settings without asking the others. One environment variable can allow a
task of the user's own, and changes no setting.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot_core.errors import RecipeError
from fewshot_core.plugins import KINDS, Plugin, plugin
from fewshot_core.recipe.changes import (
    Change,
    change_of,
    changes_no_result,
    differences,
    differing,
    free_settings,
    identity,
    refusal,
    require_same_supernets,
)
from fewshot_core.recipe.check import check
from fewshot_core.recipe.declare import fields_below, may_be_bare, place_of
from fewshot_core.recipe.find import RecipeFile, find_recipe, list_recipes, read_chain
from fewshot_core.recipe.keys import Layout
from fewshot_core.recipe.layers import given_in_vain, only_read
from fewshot_core.recipe.loose import loose_type, settle, unread_of_others
from fewshot_core.recipe.merge import Merger, new_config
from fewshot_core.recipe.places import with_absolute_paths
from fewshot_core.recipe.planning import plan_of
from fewshot_core.recipe.readers import unread_settings
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.short_forms import FITTING, IMAGES, write_out
from fewshot_core.recipe.unread import Unread
from fewshot_core.recipe.words import plain_path, raise_problems, split_words
from fewshot_core.recipe.yamltext import dump, parse_value
from fewshot_core.runs.places import REUSED
from fewshot_core.tasks import load_description, load_task

__all__ = [
    "LoadedRecipe",
    "changes_no_result",
    "differences",
    "free_settings",
    "identity",
    "list_recipes",
    "load_recipe",
    "recipe_from_file",
    "recipe_yaml",
    "whole_settings",
    "with_changes",
]

KEPT = "recipe.yaml"
"""The file of a run folder that holds its recipe, resolved."""

CHOSEN = Path("(chosen for these images)")
"""What messages call the settings that the program has chosen."""

PLANNED = Path("(chosen for the budget)")
"""What they call those that a budget brings along."""

BUDGET = "search.budget"
"""The setting that a plan is made for."""


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe, and how it was asked for.

    Attributes:
        recipe: The recipe.
        overrides: The words but ``recipe=`` and ``run=``, as they were written.
        run: The run folder, where one was named.
        given: The settings that its files and the words give.
        of_run: Whether it is the recipe of a run that there is.
        dropped: Keys of words that nothing reads, where these are dropped.
        source: The run whose supernets are used, where one was named.
    """

    recipe: Recipe
    overrides: tuple[str, ...]
    run: Path | None
    given: frozenset[str] = frozenset()
    of_run: bool = False
    dropped: frozenset[str] = frozenset()
    source: Path | None = None


def load_recipe(
    argv: Sequence[str],
    *,
    recipes_dir: Path | None = None,
    drop_unread: bool = False,
    chosen: Mapping[str, Any] | None = None,
) -> LoadedRecipe:
    """Read ``recipe=NAME key=value ...``, or ``run=DIR key=value ...`` of a run that there is.

    With ``from=DIR run=NEW`` the recipe is that of the run ``DIR``, whose supernets are used. Of a
    setting that is given twice the last counts.

    Args:
        argv: The words. ``recipe=`` takes a name or the path of a ``.yaml`` file; ``run=DIR``
            names the run folder and is not a part of the recipe. Without ``recipe=`` the recipe
            is that of the run.
        recipes_dir: Where recipes are looked up instead of the usual folders.
        drop_unread: For scripts that put words together from parts: settings that nothing reads
            are dropped, where they are an error otherwise.
        chosen: Values that the program has chosen for settings which neither a file nor a word
            gives. What is not read of them is dropped.

    Raises:
        RecipeError: One line with everything that is wrong; also a setting that nothing reads.
    """
    pairs, problems = split_words(argv)
    raise_problems(problems)
    named, run = _last(pairs, "recipe"), _last(pairs, "run")
    folder = None if run is None else plain_path("run", run)
    source = _source_of(_last(pairs, "from"), named, folder)
    of_run = named is None and source is None and folder is not None and (folder / KEPT).is_file()
    if source is None and not of_run and named is None and _last(pairs, IMAGES) is not None:
        named = FITTING
    if source is not None:
        path = source / KEPT
    else:
        path = _recipe_of(folder, recipes_dir) if named is None else find_recipe(named, recipes_dir)
    overrides = [(key, text) for key, text in pairs if key not in ("recipe", "run", "from")]
    dropped: set[str] | None = set() if drop_unread else None
    chain = read_chain(path, recipes_dir)
    recipe, given = _merge(chain, write_out(overrides), dropped, chosen)
    typed = tuple(f"{key}={text}" for key, text in pairs if key not in ("recipe", "run"))
    if source is not None:
        require_same_supernets(recipe_from_file(path), recipe, source)
    return LoadedRecipe(recipe, typed, folder, given, of_run, frozenset(dropped or ()), source)


def recipe_from_file(path: Path) -> Recipe:
    """The recipe that one file holds, such as the resolved ``recipe.yaml`` of a run folder.

    Raises:
        RecipeError: The file is missing, damaged or not a recipe.
    """
    return _resolve(read_chain(path), [], set())


def with_changes(recipe: Recipe, words: Sequence[str], also: Collection[Change] = ()) -> Recipe:
    """The recipe of a run with settings laid over it that change no result.

    Args:
        recipe: The recipe of the run.
        words: ``key=value``; the value that the run has already may be given, too.
        also: Other changes that are taken.

    Raises:
        RecipeError: A word is wrong, has no effect, or would change what the run finds.
    """
    pairs, problems = split_words(words)
    raise_problems(problems)
    changed = _resolve([RecipeFile(Path(KEPT), _as_data(recipe))], write_out(pairs))
    for key in differing(recipe, changed):
        if change_of(key, recipe) not in also:
            raise refusal(key, recipe, changed)
    return changed


def whole_settings(named: str, words: Sequence[tuple[str, str]] = ()) -> frozenset[str]:
    """The settings of a recipe, and of every plug-in it may choose, whose commas make no sweep.

    Paths and addresses may hold commas, and so may lists without brackets.

    Args:
        named: The recipe's name or file.
        words: Keys and texts of a command; they may choose another task.
    """
    chain = read_chain(find_recipe(named))
    values = [(key, parse_value(text)) for key, text in words if key == "task"]
    task = _task_name(chain, values)
    if not values:
        _require_trusted("task", task)
    every = loose_type(load_description(task).sections)()
    return frozenset(
        key
        for key, field, _ in fields_below(every)
        if place_of(field) is not None or may_be_bare(field)
    )


def recipe_yaml(recipe: Recipe) -> str:
    """Every setting of the recipe as YAML; loading the text gives an equal recipe."""
    return dump(_as_data(recipe))


def _as_data(recipe: Recipe) -> dict[str, Any]:
    return dataclasses.asdict(recipe)


TRUSTED = "FEWSHOT_TASKS"
"""Environment variable with the user's own tasks and plug-ins that files may name, by commas."""


def _last(pairs: Sequence[tuple[str, str]], key: str) -> str | None:
    """The value of a word; of several the last."""
    values = [text for name, text in pairs if name == key]
    if values and not values[-1]:
        raise RecipeError(f"{key}= is empty")
    return values[-1] if values else None


def _source_of(text: str | None, named: str | None, run: Path | None) -> Path | None:
    """The run that ``from=DIR`` names; None where there is none, or the run has begun.

    Raises:
        RecipeError: It does not go with the other words, or holds no run.
    """
    if text is None:
        return None
    source = plain_path("from", text)
    if named is not None:
        raise RecipeError(
            f"from={text} does not go with recipe={named}",
            fix="leave recipe= out: the new run has the recipe of the other, and your words",
        )
    if run is None:
        raise RecipeError(f"from={text} needs the folder of the new run", fix="add run=NEW")
    if os.path.realpath(source) == os.path.realpath(run):
        raise RecipeError(
            f"from={text} and run={run} are one folder", fix=f"fewshot search run={run} goes on"
        )
    if (run / KEPT).is_file():  # it has what it needs, wherever the other has gone
        if not (run / REUSED).is_file():
            raise RecipeError(
                f"run={run} has supernets of its own, and not those of from={text}",
                fix=f"choose a new run=DIR; fewshot search run={run} goes on with this one",
            )
        return None
    if (source / KEPT).is_file():
        return source
    known = sorted(path.parent.as_posix() for path in source.parent.glob(f"*/{KEPT}"))
    raise RecipeError(
        f"from={text} is no run folder: it has no {KEPT}",
        allowed=", ".join(known) or None,
        fix="name the folder of a run whose supernets are trained",
    )


def _recipe_of(run: Path | None, recipes_dir: Path | None) -> Path:
    """The recipe of a run, where none is named."""
    if run is not None and (run / KEPT).is_file():
        return run / KEPT
    known = ", ".join(known for known, _ in list_recipes(recipes_dir)) or "none were found"
    found = None if run is None else f"run={run}, which holds no run yet"
    raise RecipeError("recipe= is missing", found=found, allowed=known, fix="add recipe=NAME")


def _resolve(
    chain: Sequence[RecipeFile],
    overrides: Sequence[tuple[str, str]],
    dropped: set[str] | None = None,
) -> Recipe:
    """The recipe of files and words; ``dropped`` as for :func:`_merge`."""
    return _merge(chain, overrides, dropped)[0]


def _merge(
    chain: Sequence[RecipeFile],
    overrides: Sequence[tuple[str, str]],
    dropped: set[str] | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> tuple[Recipe, frozenset[str]]:
    """The recipe that files and words make on top of what was chosen, and the keys they give.

    Args:
        chain: The files.
        overrides: The words.
        dropped: Gets the keys of words that nothing reads. None: they, and settings of files that
            nothing reads, are an error.
        chosen: Values for what neither gives.
    """
    layers = [*map(_without_name, chain[:-1]), _with_name(chain[-1])]
    words = [(key, parse_value(text)) for key, text in overrides]
    name = _task_name(layers, words)
    if not any(key == "task" for key, _ in words):
        _require_trusted("task", name)
    described = load_description(name)
    sections = described.sections
    own = _own_plugins(layers, words)
    loose = loose_type(sections, own)
    # Recipes that people write do not name themselves.
    files: list[tuple[Path, Mapping[str, Any], bool]] = [
        (layer.path, layer.content, "recipe" in file.content)
        for layer, file in zip(layers, chain, strict=True)
    ]
    merger = _fill(loose, files, words, chosen)
    everything = merger.result()
    plan = plan_of(everything)
    if plan is not None:  # what is given with the budget, or after it, counts before the plan
        at = max(n for n, layer in enumerate(merger.layers) if BUDGET in layer.keys)
        files.insert(at - bool(chosen), (PLANNED, plan.settings, True))
        merger = _fill(loose, files, words, chosen)
        everything = merger.result()
    recipe = settle(everything, merger.given, sections)
    # Settings that could not be taken over keep their defaults, so the combinations of the others
    # can be checked in the same round.
    problems = [*merger.problems, *check(recipe, described.scores)]
    unread = [*unread_of_others(recipe, everything, own), *unread_settings(recipe)]
    problems += _in_vain(everything, unread, merger, dropped)
    raise_problems(problems)
    task = load_task(name)  # which may import torch, and knows of more settings when they are read
    raise_problems([*task.check_recipe(recipe)])
    raise_problems(_in_vain(everything, unread_settings(recipe, task), merger, dropped))
    said = [layer.keys for layer in merger.layers[1 if chosen else 0 :]]
    return with_absolute_paths(only_read(recipe, task)), frozenset().union(*said)


def _fill(
    loose: type,
    files: Sequence[tuple[Path, Mapping[str, Any], bool]],
    words: Sequence[tuple[str, Any]],
    chosen: Mapping[str, Any] | None,
) -> Merger:
    """The settings of files, each with whether it is resolved, and of words on top of them."""
    merger = Merger(Layout(loose), new_config(loose))
    if chosen:  # below all others, so that whatever anybody says counts before it
        merger.add_file(CHOSEN, chosen, resolved=True)
    for path, content, resolved in files:
        merger.add_file(path, content, resolved=resolved)
    merger.add_overrides(words)
    return merger


def _in_vain(
    everything: Any, unread: Sequence[Unread], merger: Merger, dropped: set[str] | None
) -> list[str]:
    """A line for each setting that was given in vain, unless these are to be dropped."""
    vain = list(given_in_vain(everything, unread, merger.layers))
    if dropped is None:
        return [line for _, _, line in vain]
    last = len(merger.layers) - 1
    dropped |= {key for number, key, _ in vain if number == last}
    return []


def _own_plugins(layers: Sequence[RecipeFile], words: Sequence[tuple[str, Any]]) -> list[Plugin]:
    """The plug-ins that are named by a dotted path; those in files have to be trusted."""
    given = [(key, value, True) for layer in layers for key, value in _leaves(layer.content)]
    given += [(key, value, False) for word in words for key, value in _leaves(dict([word]))]
    found = {}
    for key, path, in_file in given:
        kind = _kind_at(key)
        if kind is not None and ":" in path:
            if in_file:
                _require_trusted(key, path)
            found[kind, path] = plugin(kind, path)
    return list(found.values())


def _leaves(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a file or word, with its key."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list):
        for item in content:
            yield from _leaves(item, key)
    elif isinstance(content, str):
        yield key, content


def _kind_at(key: str) -> str | None:
    """The kind of plug-in that a text at this key may name: ``regions.paths.policy``."""
    parts = key.split(".")
    places = {"strategy": "strategy", "evaluator": "evaluator", "split": "splitter"}
    kind = "paths" if parts[1:2] == ["paths"] else places.get(parts[0])
    if kind is None or parts[-1] not in (KINDS[kind].choice, "paths", "then", *places):
        return None
    return kind


def _require_trusted(key: str, name: str) -> None:
    """A file may name a task or plug-in that comes along, and no code of its writer's choice."""
    own = ":" in name
    if own and name.partition(":")[0] not in sys.modules:
        trusted = os.environ.get(TRUSTED, "").split(",")
        if name not in trusted:
            raise RecipeError(
                f"the recipe file names code of its own: {key}={name}",
                fix=f"if you trust it, set {TRUSTED}={name} in the environment",
            )


def _with_name(file: RecipeFile) -> RecipeFile:
    # A run folder's recipe.yaml keeps the name it was made from.
    return dataclasses.replace(file, content={"recipe": file.path.stem, **file.content})


def _without_name(file: RecipeFile) -> RecipeFile:
    # A file that extends another is not what the other one says of itself.
    own = ("recipe", "description")
    content = {key: value for key, value in file.content.items() if key not in own}
    return dataclasses.replace(file, content=content)


def _task_name(layers: Sequence[RecipeFile], words: Sequence[tuple[str, Any]]) -> str:
    given: list[Mapping[str, Any]] = [layer.content for layer in layers]
    given += [{key: value} for key, value in words]
    found = [item["task"] for item in given if "task" in item]
    name = found[-1] if found else Recipe.task
    if not isinstance(name, str):
        raise RecipeError("task takes a name", found=name)
    return name
