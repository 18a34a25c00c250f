"""Errors of one kind, told in one line: not one at a start."""

from __future__ import annotations

from collections.abc import Iterable

from fewshot_core.errors import DataError

_NAMED = 5  # beside the first


class Problems:
    """Gathers errors.

    Args:
        errors: The first of them.
    """

    def __init__(self, errors: Iterable[DataError] = ()) -> None:
        self._kept: list[DataError] = []
        self._count = 0
        for error in errors:
            self.add(error)

    def add(self, error: DataError) -> None:
        """Note one more."""
        self._count += 1
        if len(self._kept) > _NAMED:
            return
        # A traceback holds on to what was read.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self._kept.append(error)

    def check(self) -> None:
        """Raise if there was one.

        Raises:
            DataError: The first in full, how many more there were, and some of them by name.
        """
        if self._count == 0:
            return
        first, *rest = self._kept
        if not rest:
            raise first
        some = "; ".join(error.what for error in rest)
        others = "; and so on" if self._count > len(self._kept) else ""
        error = DataError(f"{first} | and {self._count - 1} more: {some}{others}")
        error.what = first.what
        raise error
