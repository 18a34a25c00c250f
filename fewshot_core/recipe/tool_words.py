"""The words of a tool that works on a run: its own keys, and settings of the run's recipe."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe import of_run
from fewshot_core.recipe.changes import Change
from fewshot_core.recipe.words import plain_path, raise_problems, split_words

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false"}


def parse_words(
    words: Sequence[str],
    allowed: Mapping[str, Any],
    *,
    settings: bool = False,
    also: Collection[Change] = (),
) -> dict[str, Any]:
    """The values that a tool takes, by key. Of a key that is given twice the last counts.

    A tool that works on a run takes ``run`` and ``recipe``, which names ``runs/RECIPE``.

    Args:
        words: ``key=value`` words.
        allowed: For each key its default, whose type the value gets; or a type (``Path``): the
            key is required; or ``Path | None``: it may be left out and is then None.
        settings: Whether the tool also takes settings of the run's recipe that change no result.
        also: Other changes of the run's recipe that it takes.

    Returns:
        A value for every key of ``allowed``; with ``settings`` also the list ``settings`` of such
        words, to be given to :func:`fewshot_core.recipe.load.with_changes`.

    Raises:
        RecipeError: One line with everything that is wrong.
    """
    pairs, problems = split_words(words)
    values: dict[str, Any] = {}
    of_recipe: list[str] = []
    for key, text in dict(pairs).items():
        if key in allowed:
            values[key] = _convert(key, text, _value_type(allowed[key]), problems)
        elif "run" in allowed and of_run.is_setting(key):
            of_recipe.append(f"{key}={text}")
        else:
            problems.append(_unknown_key(key, allowed))
    for key, default in allowed.items():
        if key not in values:
            if isinstance(default, type):
                problems.append(f"{key}= is missing")
            values[key] = None if _is_optional(default) else default
    raise_problems(problems)
    if "run" in allowed:
        of_run.require_one_run(values)
        of_run.require_free(of_recipe, values, allowed, taken=settings, also=also)
    return values | ({"settings": of_recipe} if settings else {})


def is_required(default: object) -> bool:
    """Whether an entry of ``allowed`` stands for a key that must be given."""
    return isinstance(default, type)


def _unknown_key(key: str, allowed: Mapping[str, Any]) -> str:
    hint = nearest(key, allowed) or f"known: {', '.join(allowed)}"
    return f"unknown setting {key!r} ({hint})"


def _is_optional(default: object) -> bool:
    return isinstance(default, types.UnionType)


def _value_type(default: object) -> type:
    if isinstance(default, type):
        return default
    if _is_optional(default):
        return next(arg for arg in typing.get_args(default) if arg is not type(None))
    if isinstance(default, Path):
        return Path
    return str if default is None else type(default)


def _convert(key: str, text: str, kind: type, problems: list[str]) -> Any:
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        if kind is Path:
            return plain_path(key, text)
        return kind(text)
    except RecipeError as error:
        problems.append(str(error))
    except (ValueError, KeyError):
        problems.append(f"{key}={text} is not {_TYPE_NAMES.get(kind, kind.__name__)}")
    return None
