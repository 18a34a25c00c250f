"""The settings of a recipe as dotted keys, and their types."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fewshot_core.errors import nearest


@dataclass(frozen=True)
class Layout:
    """Which keys a recipe may have.

    Attributes:
        recipe: The class of the recipe, or one with the settings of every plug-in
            (:func:`fewshot_core.recipe.loose.loose_type`).
    """

    recipe: type

    def setting_keys(self) -> Iterator[str]:
        """Every key that takes a value, in the order of the dataclasses."""
        return self._keys(self.recipe, "")

    def suggest(self, key: str) -> str:
        """A clause that names the keys that ``key`` may have been meant for; may be empty."""
        known = list(self.setting_keys())
        parent, _, last = key.rpartition(".")
        same_name = [item for item in known if item.rpartition(".")[2] == last]
        if same_name:
            return f"did you mean {' or '.join(repr(item) for item in same_name)}?"
        # A neighbour in the same section is likelier than a similar name elsewhere.
        siblings = [item for item in known if item.rpartition(".")[0] == parent]
        return nearest(key, siblings) or nearest(key, [*known, *children(self.recipe)])

    def _keys(self, section: type, prefix: str) -> Iterator[str]:
        for name, kind in children(section).items():
            inner = section_type(kind)
            if inner is None:
                yield prefix + name
            else:
                yield from self._keys(inner, f"{prefix}{name}.")


@cache
def children(section: type) -> dict[str, Any]:
    """The type of each field of a section."""
    hints = typing.get_type_hints(section)
    return {field.name: hints[field.name] for field in dataclasses.fields(section)}


def section_type(kind: Any) -> type | None:
    """The dataclass that a type stands for, or None where a value is expected."""
    inner = without_none(kind)
    return inner if isinstance(inner, type) and dataclasses.is_dataclass(inner) else None


def element_section(kind: Any) -> type | None:
    """The dataclass of the elements where the type is a list of sections."""
    inner = without_none(kind)
    arguments = typing.get_args(inner)
    if typing.get_origin(inner) is list and arguments:
        return section_type(arguments[0])
    return None


def shorthand(section: type) -> str | None:
    """The field that a bare value of the section means."""
    return getattr(section, "shorthand", None)


def without_none(kind: Any) -> Any:
    """``X`` for ``X | None``; any other type is returned as it is."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [item for item in typing.get_args(kind) if item is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind


def takes_none(kind: Any) -> bool:
    """Whether the type is of the form ``X | None``."""
    return type(None) in typing.get_args(kind)


def type_text(kind: Any) -> str:
    """The type in words: ``a list of whole numbers``."""
    inner = without_none(kind)
    origin, arguments = typing.get_origin(inner), typing.get_args(inner)
    simple = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if inner in simple:
        text = simple[inner]
    elif origin is list:
        text = f"a list of {_plural(arguments[0])}"
    elif origin is tuple:
        text = f"a list of {len(arguments)} values"
    elif origin is typing.Literal:
        text = f"one of {', '.join(map(str, arguments))}"
    else:
        text = getattr(inner, "__name__", str(inner))
    return f"{text} or none" if takes_none(kind) else text


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def is_scalar(value: object) -> bool:
    """Whether a value may stand for a whole section by its shorthand."""
    return isinstance(value, str | int | float)


def takes_mapping(kind: Any) -> bool:
    """Whether a value of the type may be a mapping of its own."""
    inner = without_none(kind)
    return inner is Any or inner is dict or typing.get_origin(inner) is dict


def _plural(kind: Any) -> str:
    names: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts", Any: "values"}
    if typing.get_origin(kind) is list:
        return f"lists of {_plural(typing.get_args(kind)[0])}"
    if section_type(kind) is not None:
        return "sections"
    return names.get(kind, "values")
