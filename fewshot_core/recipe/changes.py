"""What may change in a run, and what starts another one: the one place that says so.

Every setting has a :class:`Change`. Tools ask :func:`change_of` before they take a word over, the
supernets of another run are compared by it, and the table of docs/settings.md is made from it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from fewshot_core.errors import RecipeError
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.declare import fields_below, may_change_results
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.loose import loose_type
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.yamltext import dump, write_value
from fewshot_core.tasks import load_description


class Change(enum.Enum):
    """What another value of a setting is, for a run that there is.

    The value of a member is how one comes to the other value.
    """

    FREE = "any command, any time"
    """It changes no result."""
    MORE = "`fewshot search run=DIR`"
    """The search goes on where it ended; less than before is refused."""
    RETRAINING = "`fewshot retrain run=DIR`"
    """Further trainings beside those that there are; `fewshot search` needs a new run."""
    SEARCH = "`fewshot search from=DIR run=NEW`"
    """A new run, with the supernets of the one that there is."""
    SUPERNETS = "`fewshot search recipe=NAME run=NEW`"
    """A new run that trains supernets of its own."""


ABOUT = {
    Change.FREE: "changes no result",
    Change.MORE: "the search goes on where it ended; never less",
    Change.RETRAINING: "trained beside what there is; nothing is lost or trained twice",
    Change.SEARCH: "another search with the same supernets, which are not trained again",
    Change.SUPERNETS: "other supernets",
}

MORE = ("search.trials",)
"""Settings of which more goes on with what there is."""

RETRAINING = ("retrain",)
"""Sections about trainings that a command of its own makes."""

OF_SUPERNETS = (
    *("task", "seed", "precision", "channels_last"),
    *("data", "supernet", "split", "regions"),
)
"""Settings and sections that the weights of supernets depend on, whatever the task."""

CHOSEN = ("retrain.seeds", "retrain.compare")
"""Settings of retraining that say what is trained, and not how."""


def free_settings(recipe: Recipe | None = None) -> tuple[str, ...]:
    """Settings about how a run works and not about what it finds; they may change under way.

    Args:
        recipe: Whose; by default those that any recipe may have. With it also those of its task's
            sections, and those of which only some values change results, such as a teacher that is
            a folder.
    """
    return tuple(
        key
        for key, field, section in fields_below(recipe or loose_type({})())
        if not may_change_results(field, getattr(section, field.name))
    )


def changes_no_result(key: str, recipe: Recipe | None = None) -> bool:
    """Whether a setting may change under way; see :func:`free_settings`."""
    return key in free_settings(recipe)


def supernet_sections(recipe: Recipe) -> tuple[str, ...]:
    """Settings and sections of a recipe that the weights of its supernets depend on."""
    task = load_description(recipe.task)
    own = [name for name in task.sections if name not in task.scoring]
    strategy = plugin_of("strategy", recipe.strategy)
    # These learn their preferences together with the supernets.
    learned = ("strategy", *strategy.sections) if strategy.differentiable else ()
    return (*OF_SUPERNETS, *own, *learned)


def change_of(key: str, recipe: Recipe) -> Change:
    """What another value of the setting ``key`` is for a run of this recipe."""
    section = key.partition(".")[0]
    if key in free_settings(recipe):
        return Change.FREE
    if key in MORE:
        return Change.MORE
    if section in RETRAINING:
        return Change.RETRAINING
    if section in supernet_sections(recipe):
        return Change.SUPERNETS
    return Change.SEARCH


def identity(recipe: Recipe) -> str:
    """A text of all that decides what a run finds: the same for two recipes without differences."""
    free = set(free_settings(recipe))
    settings = flatten(dataclasses.asdict(recipe))
    return dump({key: value for key, value in settings.items() if key not in free})


def differences(a: Recipe, b: Recipe, *, every: bool = False) -> list[str]:
    """The settings in which two recipes differ, as ``key: value of a -> value of b``.

    Those that change no result are left out, such as where the images are, unless ``every`` one is
    asked for. What the places hold is not compared.
    """
    left, right = flatten(dataclasses.asdict(a)), flatten(dataclasses.asdict(b))
    absent = "absent"
    return [
        f"{key}: {left.get(key, absent)!r} -> {right.get(key, absent)!r}"
        for key in differing(a, b, every)
    ]


def differing(a: Recipe, b: Recipe, every: bool = False) -> Iterator[str]:
    """The keys of :func:`differences`."""
    left, right = flatten(dataclasses.asdict(a)), flatten(dataclasses.asdict(b))
    free = set() if every else set(free_settings(a)) & set(free_settings(b))
    for key in {**left, **right}:
        same = key in left and key in right and left[key] == right[key]
        if not same and key not in free:
            yield key


def other_run(before: Recipe, after: Recipe) -> list[str]:
    """The settings for which a run of ``before`` cannot go on as one of ``after``; their keys."""
    return [key for key in differing(before, after) if not _is_more(key, before, after)]


def _is_more(key: str, before: Recipe, after: Recipe) -> bool:
    return key in MORE and value_at(after, key) > value_at(before, key)


def require_same_supernets(before: Recipe, after: Recipe, source: object) -> None:
    """Raise unless a run of ``after`` can use the supernets of one of ``before``.

    Args:
        before: The recipe of the run that has them.
        after: The recipe of the new run.
        source: The folder of the former, for messages.

    Raises:
        RecipeError: One of them trains none, or they would be others.
    """
    for recipe, whose in ((before, f"the run {source}"), (after, "the new run")):
        if not plugin_of("evaluator", recipe.evaluator).inherits:
            raise RecipeError(
                f"from={source} has no effect: {whose} uses no supernets",
                found=f"evaluator={recipe.evaluator.name}",
                fix="leave from= out",
            )
    changed = [
        key
        for key in differing(before, after)
        if Change.SUPERNETS in (change_of(key, before), change_of(key, after))
    ]
    if changed:
        words = " ".join(f"{key}={write_value(value_at(after, key))}" for key in changed[:4])
        raise RecipeError(
            f"{words} needs other supernets than those of from={source}",
            found=", ".join(f"{key}={write_value(value_at(before, key))}" for key in changed[:4])
            + " there",
            allowed="all that changes no supernet (docs/settings.md)",
            fix=f"leave it out, or train new ones: fewshot search recipe={after.recipe} "
            f"{words} run=NEW",
        )


def refusal(key: str, before: Recipe, after: Recipe) -> RecipeError:
    """Why a tool that works on a run does not take a setting, and which command does."""
    wanted = f"{key}={write_value(value_at(after, key))}"
    change = change_of(key, before)
    inherits = plugin_of("evaluator", before.evaluator).inherits
    fix = {
        Change.MORE: f"to go on with the search: fewshot search run=DIR {wanted}",
        Change.RETRAINING: f"for another training: fewshot retrain run=DIR {wanted}",
    }.get(change, f"leave it out, or start another run: fewshot search from=DIR {wanted} run=NEW")
    if change is Change.SUPERNETS or (change is Change.SEARCH and not inherits):
        fix = (
            "leave it out, or start another run with it: fewshot search "
            f"recipe={before.recipe} {wanted} run=DIR"
        )
    return RecipeError(
        f"{wanted} is a setting of the run's recipe and would change its results",
        found=f"{key}={write_value(value_at(before, key))} in the recipe of this run",
        allowed=f"settings that change no result: {', '.join(free_settings(before))}",
        fix=fix,
    )


def training_changes(before: Recipe, after: Recipe) -> dict[str, object]:
    """How trainings of ``after`` differ from those of ``before``: the values of the former."""
    keys = [key for key in differing(before, after) if change_of(key, before) is Change.RETRAINING]
    return {key: value_at(after, key) for key in keys if key not in CHOSEN}


def changes_table(recipe: Recipe) -> str:
    """What may change in a run of a recipe, as Markdown; docs/settings.md holds that of digits."""
    groups: dict[Change, list[str]] = {change: [] for change in Change}
    settings = [key for key, _, _ in fields_below(recipe) if key != "recipe"]  # its name
    sections: dict[str, set[Change]] = {}
    for key in settings:
        sections.setdefault(key.partition(".")[0], set()).add(change_of(key, recipe))
    for key in settings:
        change, section = change_of(key, recipe), key.partition(".")[0]
        rest = sections[section] - {Change.FREE, Change.MORE}
        # A section is named as a whole where what is not named is all of one kind.
        whole = "." in key and change in rest and len(rest) == 1
        groups[change].append(f"`{section}.*`" if whole else f"`{key}`")
    lines = ["| setting | another value | command |", "| --- | --- | --- |"]
    for change, keys in groups.items():
        lines.append(f"| {', '.join(dict.fromkeys(keys))} | {ABOUT[change]} | {change.value} |")
    return "\n".join(lines) + "\n"


def value_at(recipe: Recipe, key: str) -> Any:
    """The value of a setting; None where the recipe has no such one."""
    return flatten(dataclasses.asdict(recipe)).get(key)
