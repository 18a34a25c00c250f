"""What the field of a settings class says about itself, beside its type and default.

The core's sections, those of plug-ins and those of tasks say it the same way::

    weights: str | None = setting(None, "file of weights", place=absolute, changes_results=False)
    share: float = setting(0.5, "share of the images", above=0, below=1)
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from fewshot_core.errors import nearest

Place = Callable[[str, Any], str]
"""From a value and its section to the value that means the same in every working directory."""

_HELP, _RANGE, _CHOICES = "help", "range", "choices"
_PLACE, _CHANGES, _SIZE, _BARE = "place", "changes_results", "size", "bare"


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a setting may have; an end that is None is open.

    Attributes:
        low: The smallest of them.
        above: All are above this one.
        high: The largest of them.
        below: All are below this one.
    """

    low: float | None = None
    above: float | None = None
    high: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
            and (self.below is None or value < self.below)
        )

    def __bool__(self) -> bool:
        return any(end is not None for end in dataclasses.astuple(self))

    def __str__(self) -> str:
        """``at least 0 and below 1``."""
        ends = (
            ("at least", self.low),
            ("above", self.above),
            ("at most", self.high),
            ("below", self.below),
        )
        return " and ".join(f"{words} {end}" for words, end in ends if end is not None)


def setting(
    default: Any,
    help: str = "",
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: Collection[str] | None = None,
    place: Place | None = None,
    changes_results: bool | Callable[[Any], bool] = True,
    size: bool = False,
    bare: bool = False,
) -> Any:
    """A field of a settings class.

    Args:
        default: Its default; a list is copied for every instance.
        help: What it is, for ``--help``: a clause, with its unit.
        low: The smallest value.
        above: Values are above this one.
        high: The largest value.
        below: Values are below this one.
        choices: The texts that it may be.
        place: The value names a file or folder, and this puts its base before it.
        changes_results: Whether a run with another value finds something else; or a function that
            says so of a value. What changes no result may be changed under way.
        size: A large round number, which may be written as ``300M``.
        bare: A list of texts that may be written without brackets.
    """
    metadata = {
        _HELP: help,
        _RANGE: Range(low, above, high, below),
        _CHOICES: choices,
        _PLACE: place,
        _CHANGES: changes_results,
        _SIZE: size,
        _BARE: bare,
    }
    if isinstance(default, list | type):  # a section is made anew for every instance, too
        factory = default if isinstance(default, type) else default.copy
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def help_of(field: dataclasses.Field[Any]) -> str:
    """What the field is; may be empty."""
    return str(field.metadata.get(_HELP, ""))


def place_of(field: dataclasses.Field[Any]) -> Place | None:
    """What puts the base before a value of the field; None where it is no path."""
    place: Place | None = field.metadata.get(_PLACE)
    return place


def range_of(field: dataclasses.Field[Any]) -> Range:
    """The numbers that a value of the field may be; every end is open where any may."""
    limits: Range = field.metadata.get(_RANGE) or Range()
    return limits


def choices_of(field: dataclasses.Field[Any]) -> tuple[str, ...]:
    """The texts that a value of the field may be; none where any may."""
    return tuple(field.metadata.get(_CHOICES) or ())


def may_be_size(field: dataclasses.Field[Any]) -> bool:
    """Whether a value of the field may be written as ``300M``."""
    return bool(field.metadata.get(_SIZE))


def may_be_bare(field: dataclasses.Field[Any]) -> bool:
    """Whether a list may be written as ``a,b``; then no comma makes a sweep of it."""
    return bool(field.metadata.get(_BARE))


def may_change_results(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a run with this value of the field may find something else than with others."""
    changes = field.metadata.get(_CHANGES, True)
    return bool(changes(value) if callable(changes) else changes)


def check_values(section: Any, key: str = "") -> Iterator[str]:
    """A line for each value that is out of its range or none of its choices.

    Then what the section says of itself: a settings class may have a method ``check(key)`` that
    yields lines about combinations of its own values.

    Args:
        section: An instance of a settings class; the sections below it are checked, too.
        key: Its key in the recipe; empty for a whole recipe.
    """
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        name = f"{key}.{field.name}" if key else field.name
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from check_values(value, name)
        elif isinstance(value, list) and value and dataclasses.is_dataclass(value[0]):
            for index, item in enumerate(value):
                yield from check_values(item, f"{name}[{index}]")
        else:
            yield from _check_value(field, name, value)
    own: Callable[[str], Iterator[str]] | None = getattr(section, "check", None)
    if own is not None:
        yield from own(key)


def _check_value(field: dataclasses.Field[Any], key: str, value: Any) -> Iterator[str]:
    limits, choices = field.metadata.get(_RANGE), field.metadata.get(_CHOICES)
    if isinstance(value, int | float) and limits and value not in limits:
        yield f"{key}={value} must be {limits}"
    if choices is not None:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield from check_choice(key, one, choices)


def check_choice(key: str, value: str, choices: Collection[str]) -> Iterator[str]:
    """A line unless the value is one of the choices."""
    if value not in choices:
        hint = nearest(value, choices)
        text = f"{key}={value} is none of {', '.join(choices)}"
        yield f"{text} ({hint})" if hint else text


def fields_below(
    section: Any, prefix: str = ""
) -> Iterator[tuple[str, dataclasses.Field[Any], Any]]:
    """Key, field and section of every setting; lists of sections count as values.

    Args:
        section: An instance of a settings class, such as a whole recipe.
        prefix: Its key and a dot.
    """
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from fields_below(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field, section


def with_values(section: Any, values: Mapping[str, Any]) -> Any:
    """A copy of a settings instance, such as a recipe, in which some settings are others.

    Args:
        section: The instance.
        values: The new values by dotted key, as in ``{"data.root": "photos"}``.

    Raises:
        AttributeError: There is no such setting.
    """
    for key, value in values.items():
        section = _with_value(section, re.sub(r"\[([0-9]+)\]", r".\1", key).split("."), value)
    return section


def _with_value(section: Any, parts: Sequence[str], value: Any) -> Any:
    name, *rest = parts
    if isinstance(section, list):
        index = int(name)
        inner = _with_value(section[index], rest, value) if rest else value
        return [*section[:index], inner, *section[index + 1 :]]
    inner = _with_value(getattr(section, name), rest, value) if rest else value
    if name not in {field.name for field in dataclasses.fields(section)}:
        raise AttributeError(f"{type(section).__name__} has no setting {name!r}")
    return dataclasses.replace(section, **{name: inner})
