"""The runs that words with commas ask for, every word of every one checked. No torch.

A word that only some members read, such as ``strategy.population=20`` beside
``strategy=rea,random``, is left out of the others; one that none reads is an error, as in a run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.commas import Combination, combine, has_commas, split_value
from fewshot_core.recipe.declare import fields_below, place_of
from fewshot_core.recipe.load import (
    LoadedRecipe,
    free_settings,
    identity,
    load_recipe,
    whole_settings,
)
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.words import plain_path, raise_problems, split_words
from fewshot_core.recipe.yamltext import write_value
from fewshot_core.runs.places import RUNS
from fewshot_core.runs.sweeps import DONE, Member, Sweep, is_sweep, read_sweep

MOST = 100
"""Runs of a sweep that nobody has to be asked about."""

WHOLE = frozenset({"description", "members", "recipe", "run"})
"""Keys whose values no comma separates, besides paths and addresses."""

LONGEST = 120
"""Characters of the name of a member's folder."""


@dataclass(frozen=True)
class PlannedSweep:
    """A sweep whose words are right.

    Attributes:
        sweep: Its members, and how far those have come that there are.
        recipes: The recipe of each member, in their order.
    """

    sweep: Sweep
    recipes: tuple[Recipe, ...]


def plan_sweep(argv: Sequence[str]) -> PlannedSweep | None:
    """The sweep that the words of a search ask for; None where they ask for one run.

    Args:
        argv: ``recipe=NAME key=value,value ...``, or ``run=DIR`` of a sweep that there is, with
            words that are laid over its own. ``members=N`` allows as many runs.

    Raises:
        RecipeError: A word of a member is wrong, or there are too many members.
        RunFolderError: The folder is that of another sweep, or damaged.
    """
    pairs, problems = split_words(argv)
    given = dict(pairs)
    run = given.get("run")
    folder = plain_path("run", run) if run else None
    kept = read_sweep(folder) if folder is not None and is_sweep(folder) else None
    if kept is None and all(len(split_value(text)) == 1 for _, text in pairs):
        return None
    raise_problems(problems)
    if kept is not None and "recipe" not in given:
        pairs = [*_pairs(kept.words), *pairs]
    named = dict(pairs).get("recipe", "")
    if not named:  # a single run says what is missing
        load_recipe(argv)
    places = whole_settings(named, pairs)
    words = [(key, text) for key, text in pairs if key not in ("run", "recipe", "members")]

    def is_whole(key: str) -> bool:
        return key in WHOLE or key in places

    if kept is None and not has_commas(words, is_whole):
        return None
    members, recipes = _members(named, combine(words, is_whole), _most(given))
    typed = [f"recipe={named}", *_with_places(words, recipes[0], places)]
    target = folder or RUNS / f"{recipes[0].recipe}-sweep"
    if kept is None and is_sweep(target):
        kept = read_sweep(target)
    sweep = Sweep(target, typed, members)
    if kept is not None:
        _take_over(kept, sweep, recipes)
    return PlannedSweep(sweep, tuple(recipes))


def _members(
    named: str, combinations: Sequence[Combination], most: int
) -> tuple[list[Member], list[Recipe]]:
    """The members and their recipes, each recipe once."""
    if len(combinations) > most:
        raise RecipeError(
            f"the words ask for {len(combinations)} runs",
            allowed=f"{most} without another word",
            fix=f"fewer values between commas, or members={len(combinations)}",
        )
    first = f"recipe={named}"
    loaded = [_load([first, *_texts(one.words)]) for one in combinations]
    never = set[str].intersection(*({*one.dropped} for one in loaded))
    if never:  # in none of the members: the words of the first are an error, as those of one run
        load_recipe([first, *_texts(combinations[0].words)])
    _require_results(combinations[0], loaded[0].recipe)
    members: list[Member] = []
    recipes: dict[str, Recipe] = {}
    for combination, one in zip(combinations, loaded, strict=True):
        words = [first, *_read(combination.words, one)]
        recipe = load_recipe(words).recipe if one.dropped else one.recipe
        key = identity(recipe)
        if key in recipes:  # it differs in what is not read
            continue
        recipes[key] = recipe
        chosen = _read(combination.chosen, one)
        name = _name(chosen, [member.name for member in members])
        members.append(Member(name, words, chosen))
    return members, list(recipes.values())


def _require_results(combination: Combination, recipe: Recipe) -> None:
    """Raise where the runs of a sweep would differ in a setting that changes no result.

    Raises:
        RecipeError: They would: each would be the same run.
    """
    free = free_settings(recipe)
    for key, _ in combination.chosen:
        if key in free:
            raise RecipeError(
                f"{key} changes no result: its values would make the same run several times",
                fix="give it one value",
            )


def _load(words: Sequence[str]) -> LoadedRecipe:
    """The recipe of the words; those that nothing reads are dropped."""
    try:
        return load_recipe(words)
    except RecipeError:  # another error comes again
        return load_recipe(words, drop_unread=True)


def _read(words: Sequence[tuple[str, str]], loaded: LoadedRecipe) -> list[str]:
    """The words of which the recipe reads what they set."""
    return _texts([word for word in words if word[0] not in loaded.dropped])


def _texts(words: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{key}={text}" for key, text in words]


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    pairs, problems = split_words(words)
    raise_problems(problems)
    return pairs


def _most(given: dict[str, str]) -> int:
    text = given.get("members", str(MOST))
    if not text.isdecimal() or int(text) < 1:
        raise RecipeError(f"members={text} is not a whole number above 0")
    return max(MOST, int(text))


def _name(chosen: Sequence[str], taken: Sequence[str]) -> str:
    """A folder's name that says what a member is: ``seed=0+strategy=rea``."""
    text = "+".join(chosen) or "run"
    safe = re.sub(r"[^A-Za-z0-9_.=+-]+", "_", text).strip("_")
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    if len(safe) > LONGEST:
        safe = f"{safe[:LONGEST]}-{digest}"
    return f"{safe}-{digest}" if safe in taken else safe


def _with_places(
    words: Sequence[tuple[str, str]], recipe: Recipe, places: frozenset[str]
) -> list[str]:
    """The words with paths in full, so that they mean the same in another working directory."""
    full = {
        key: getattr(section, field.name)
        for key, field, section in fields_below(recipe)
        if place_of(field) is not None
    }
    return [
        f"{key}={write_value(full[key])}" if key in places and key in full else f"{key}={text}"
        for key, text in words
    ]


def _take_over(kept: Sweep, sweep: Sweep, recipes: Sequence[Recipe]) -> None:
    """Let members that there are keep their names and states; the sweep may only grow.

    Raises:
        RunFolderError: The folder has a member that the sweep would not have.
    """
    mine = {identity(recipe): place for place, recipe in enumerate(recipes)}
    taken = {member.name for member in kept.members}
    found: dict[int, Member] = {}
    for member in kept.members:
        place = mine.get(identity(load_recipe(member.words).recipe))
        if place is None:
            if member.state != DONE and not (kept.run_of(member) / "recipe.yaml").exists():
                continue  # nothing of it was made
            raise RecipeError(
                f"{kept.folder} is the folder of another sweep",
                found=f"its member {member.name}, which these words do not ask for",
                fix="choose another run=DIR, or give the words of that sweep; more values may be "
                "added to them",
            )
        found[place] = member
    for place, member in enumerate(sweep.members):
        old = found.get(place)
        if old is not None:
            sweep.members[place] = Member(
                old.name, member.words, member.chosen, old.state, old.retrained, old.supernets
            )
        elif member.name in taken:
            sweep.members[place].name = _name([*member.chosen, "again"], [*taken])
