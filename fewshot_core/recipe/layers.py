"""What was given in vain, and a recipe without it.

A setting that has no effect is an error, for whoever gave it believes that it has one. Only where
what decides it was chosen after the setting was given, as with ``recipe=digits strategy=tpe``, the
setting is dropped: what was given last counts. In a loaded recipe all that is not read has its
default, so that it says what was used.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.readers import unread_settings
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread
from fewshot_core.recipe.yamltext import write_value


@dataclass(frozen=True)
class Layer:
    """A file or the words of a command.

    Attributes:
        origin: What a message about it begins with.
        keys: The settings that it gives.
        resolved: Whether it is a recipe that was resolved before, which names every setting there
            is; nobody asked for what is not read of those.
    """

    origin: str
    keys: frozenset[str]
    resolved: bool = False


def given_in_vain(
    recipe: Any, unread: Sequence[Unread], layers: Sequence[Layer]
) -> Iterator[tuple[int, str, str]]:
    """The number of its layer, the key, and a line for each setting that was given in vain.

    Args:
        recipe: All layers together, with the settings of every plug-in.
        unread: What this recipe does not read.
        layers: From the first to the last, which has the last word.
    """
    given = {key: number for number, layer in enumerate(layers) for key in layer.keys}
    said = set()
    for one in unread:
        for key, value in _find_changed(recipe, one.key):
            number = given.get(_whole(key))
            if number is None or layers[number].resolved or key in said:
                continue
            if any(given.get(decider, -1) > number for decider in one.deciders):
                continue
            said.add(key)
            line = (
                f"{layers[number].origin}{key}={write_value(value)} has no effect with "
                f"{one.because} | allowed: {one.readers}"
            )
            yield number, key, line


def only_read(recipe: Recipe, task: Any = None) -> Recipe:
    """A copy in which everything that is not read has its default."""
    before = None
    while recipe != before:  # what one setting decides may decide another
        before = recipe
        for one in unread_settings(recipe, task):
            section, name = _place(recipe, one.key)
            if hasattr(section, name):
                recipe = with_values(recipe, {one.key: _default(section, name)})
    return recipe


def _whole(key: str) -> str:
    """The key that a file or a word gives; lists are given as a whole."""
    return key.partition("[")[0]


def _place(recipe: Any, key: str) -> tuple[Any, str]:
    """The section of a key, and its name there."""
    *sections, name = re.sub(r"\[([0-9]+)\]", r".\1", key).split(".")
    for part in sections:
        recipe = recipe[int(part)] if part.isdigit() else getattr(recipe, part)
    return recipe, name


def _find_changed(recipe: Recipe, key: str) -> Iterator[tuple[str, Any]]:
    """The settings at or below a key that do not have their default."""
    section, name = _place(recipe, key)
    value = getattr(section, name, None)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # The default of a choice is that of the recipe, and not of what was chosen.
        default = _default(section, name)
        for field in dataclasses.fields(value):
            inner, known = getattr(value, field.name), getattr(default, field.name, None)
            if dataclasses.is_dataclass(inner) or not hasattr(default, field.name):
                yield from _find_changed(recipe, f"{key}.{field.name}")
            elif inner != known:
                yield f"{key}.{field.name}", inner
    elif hasattr(section, name) and value != _default(section, name):
        yield key, value


def _default(section: Any, name: str) -> Any:
    field = next(field for field in dataclasses.fields(section) if field.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
