"""What the field of a settings class says about itself, beside its type, default and comment.

A task's own sections say it the same way::

    weights: str | None = setting(None, place=absolute, changes_results=False)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

Place = Callable[[str, Any], str]
"""From a value and its section to the value that means the same in every working directory."""

_PLACE, _CHANGES = "place", "changes_results"


def setting(
    default: Any,
    *,
    place: Place | None = None,
    changes_results: bool | Callable[[Any], bool] = True,
) -> Any:
    """A field of a settings class.

    Args:
        default: Its default, a value that cannot be changed in place.
        place: The value names a file or folder, and this puts its base before it.
        changes_results: Whether a run with another value finds something else; or a function that
            says so of a value. What changes no result may be changed under way.
    """
    metadata = {_PLACE: place, _CHANGES: changes_results}
    return dataclasses.field(default=default, metadata=metadata)


def place_of(field: dataclasses.Field[Any]) -> Place | None:
    """What puts the base before a value of the field; None where it is no path."""
    place: Place | None = field.metadata.get(_PLACE)
    return place


def may_change_results(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether a run with this value of the field may find something else than with others."""
    changes = field.metadata.get(_CHANGES, True)
    return bool(changes(value) if callable(changes) else changes)


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
