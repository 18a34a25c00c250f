"""The list of settings that ``--help`` shows, made from the dataclasses themselves."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from fewshot_core.plugins import plugins
from fewshot_core.recipe.declare import help_of
from fewshot_core.recipe.keys import shorthand
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.short_forms import short_forms_help
from fewshot_core.recipe.tool_words import is_required
from fewshot_core.recipe.yamltext import inline

_COLUMN = 40
_WIDTH = 100


def settings_help(recipe: Recipe) -> str:
    """Every setting with its value in ``recipe`` and what it is.

    Args:
        recipe: ``Recipe()`` for the defaults, or a loaded one, which also has the sections of its
            task. Of plug-ins the settings of the chosen ones are shown.
    """
    short = [line for word, about in short_forms_help() for line in _entry(word, about)]
    return "\n".join([*short, "", *_section(recipe, "")])


def words_help(keys: Mapping[str, Any]) -> str:
    """The words that a tool takes, as they are described to ``parse_words``."""
    return "\n".join(f"  {_word(key, default)}" for key, default in keys.items())


def _section(section: Any, prefix: str) -> Iterator[str]:
    kind = getattr(section, "kind", None)
    names = " | ".join(plugins(kind)) if kind is not None else ""
    nested = []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        key = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            nested.append((key, value))
        else:
            yield from _entry(f"{key}={_value(value)}", help_of(field).replace("{names}", names))
    if type(section) is Recipe:
        yield from _entry("network.*", "settings of the task; with recipe=NAME they are shown")
    # Values first, then the sections: a section's heading must not swallow its parent's values.
    for key, value in nested:
        yield ""
        yield f"{key}: {_summary(value)}"
        yield from _section(value, f"{key}.")


def _value(value: Any) -> str:
    if isinstance(value, list):
        plain = [dataclasses.asdict(item) if _is_section(item) else item for item in value]
        return inline(plain)
    if isinstance(value, str) and len(value.splitlines()) > 1:
        return value.splitlines()[0] + " ..."
    return "" if value == "" else inline(value)


def _is_section(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _summary(section: Any) -> str:
    text = (inspect.getdoc(type(section)) or "").partition("\n")[0]
    # A dataclass without a docstring gets its signature for one, which says nothing here.
    text = "" if text.startswith(f"{type(section).__name__}(") else text
    field = shorthand(type(section))
    return f"{text} A bare value is its {field!r}." if field else text


def _entry(left: str, comment: str) -> Iterator[str]:
    lines = textwrap.wrap(comment, _WIDTH - _COLUMN) or [""]
    if len(left) > _COLUMN - 3:
        yield f"  {left}"
    else:
        yield f"  {left:<{_COLUMN - 2}}{lines.pop(0)}".rstrip()
    yield from (f"{'':<{_COLUMN}}{line}".rstrip() for line in lines if line)


def _word(key: str, default: Any) -> str:
    if is_required(default):
        return f"{key}={default.__name__.upper()}  (required)"
    shown = "" if default is None or not isinstance(default, str | int | float) else default
    return f"{key}={str(shown).lower() if isinstance(shown, bool) else shown}".rstrip()
