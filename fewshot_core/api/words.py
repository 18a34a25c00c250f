"""Settings as Python values, written as the words of a command line. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.yamltext import inline


def write_words(*layers: Mapping[str, object]) -> list[str]:
    """The words ``key=value`` that mean these settings.

    A mapping inside a mapping is a section: ``{"supernet": {"epochs": 5}}`` and
    ``{"supernet.epochs": 5}`` are one. An underscore at the end of a key is dropped, so that words
    of Python can be keys: ``from_=...``.

    Args:
        layers: Settings by key; those of a later layer count.

    Returns:
        A word for each setting, in the order in which they were first given.

    Raises:
        RecipeError: A key is no text, or a value is of a kind that no setting has.
    """
    found: dict[str, str] = {}
    for layer in layers:
        for key, value in _leaves(layer):
            found[key] = f"{key}={write_text(key, value)}"
    return list(found.values())


def write_text(key: str, value: object) -> str:
    """A value as it is written after ``key=`` on the command line.

    Text stands as it is: ``flops="30M"`` is ``flops=30M``. Paths are text. None, truth values,
    numbers, also those of NumPy and torch, lists and tuples are written as in a recipe.

    Raises:
        RecipeError: The value is of another kind.
    """
    if isinstance(value, str | PurePath):
        return str(value)
    return inline(_plain(key, value))


def _leaves(layer: Mapping[Any, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in layer.items():
        if not isinstance(name, str) or not name or "=" in name:
            raise RecipeError(f"{above or 'a setting'} has a key that is no name", found=repr(name))
        key = above + name.removesuffix("_")
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _plain(key: str, value: Any) -> Any:
    """The value in types that YAML has."""
    if value is None or isinstance(value, bool | int | float | str):
        # Their subclasses, such as members of an enumeration, are written as what they are.
        kinds = (bool, int, float, str)
        return next((kind(value) for kind in kinds if isinstance(value, kind)), None)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple | range):
        return [_plain(key, item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(key, item) for name, item in value.items()}
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return _plain(key, value.item())
    raise RecipeError(
        f"{key} has a value of a kind that no setting has",
        found=type(value).__name__,
        allowed="text, a path, a number, True, False, None, or a list of them",
    )
