"""The settings of a recipe as dotted keys: their types, defaults and the comments beside them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fewshot_core.errors import nearest
from fewshot_core.recipe.schema import TASK_SECTIONS, Recipe

_OWN = frozenset(TASK_SECTIONS)


@dataclass(frozen=True)
class Layout:
    """Which keys exist, given the task's dataclasses.

    Attributes:
        sections: The task's own sections; those of ``TASK_SECTIONS`` that are missing do not exist.
    """

    sections: Mapping[str, type]

    def children(self, section: type) -> dict[str, Any]:
        """The type of each field of a section."""
        hints = typing.get_type_hints(section)
        found = {field.name: hints[field.name] for field in dataclasses.fields(section)}
        if section is Recipe:
            own = self.sections
            found = {n: own.get(n, k) for n, k in found.items() if n in own or n not in _OWN}
        return found

    def setting_keys(self, section: type = Recipe, prefix: str = "") -> Iterator[str]:
        """Every key that takes a value, in the order of the dataclasses."""
        for name, kind in self.children(section).items():
            inner = section_type(kind)
            if inner is None:
                yield prefix + name
            else:
                yield from self.setting_keys(inner, f"{prefix}{name}.")

    def suggest(self, key: str) -> str:
        """A clause that names the keys that ``key`` may have been meant for; may be empty."""
        known = list(self.setting_keys())
        parent, _, last = key.rpartition(".")
        same_name = [item for item in known if item.rpartition(".")[2] == last]
        if same_name:
            return f"did you mean {' or '.join(repr(item) for item in same_name)}?"
        # A neighbour in the same section is likelier than a similar name elsewhere.
        siblings = [item for item in known if item.rpartition(".")[0] == parent]
        sections = list(self.children(Recipe))
        return nearest(key, siblings) or nearest(key, [*known, *sections])


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


def comments(section: type) -> dict[str, str]:
    """The comment beside or above each field, read from the source where there is one."""
    found: dict[str, str] = {}
    for base in reversed(section.__mro__):
        if dataclasses.is_dataclass(base):
            try:
                source = textwrap.dedent(inspect.getsource(base))
            except (OSError, TypeError):
                continue
            found.update(_comments_in(source))
    return found


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


def _comments_in(source: str) -> dict[str, str]:
    beside: dict[int, str] = {}
    above: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[: token.start[1]].strip()
            text = token.string.lstrip("#").strip()
            (above if alone else beside)[token.start[0]] = text
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = _comment_of(node.lineno, node.end_lineno or node.lineno, beside, above)
            if text:
                found[node.target.id] = text
    return found


def _comment_of(first: int, last: int, beside: dict[int, str], above: dict[int, str]) -> str:
    lines: list[str] = []
    line = first - 1
    while line in above:
        lines.insert(0, above[line])
        line -= 1
    lines += [beside[number] for number in range(first, last + 1) if number in beside]
    return " ".join(lines)
