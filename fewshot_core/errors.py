"""Errors that a user can act on.

Every error that bad input can cause derives from :class:`FewshotError`; the tools print its one
line and exit with code 2. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FewshotError(Exception):
    """Something outside the program is wrong: a setting, a file, an architecture.

    Args:
        what: What was wrong, naming the thing.
        found: What was found, where that helps.
        allowed: What would have been accepted.
        fix: How to fix it.
    """

    def __init__(
        self,
        what: str,
        *,
        found: object = None,
        allowed: object = None,
        fix: str | None = None,
    ) -> None:
        self.what = " ".join(what.rstrip(".").split())
        parts = [what.rstrip(".")]
        if found is not None:
            parts.append(f"found: {found}")
        if allowed is not None:
            parts.append(f"allowed: {allowed}")
        if fix is not None:
            parts.append(f"to fix: {fix}")
        super().__init__(" | ".join(" ".join(part.split()) for part in parts))


class RecipeError(FewshotError):
    """A recipe or an override cannot be used."""


class ArchitectureError(FewshotError):
    """A text, JSON value or choice is not an architecture of the space or region."""


class RegionError(FewshotError):
    """A region is empty, or regions do not form a partition."""


class ConstraintError(FewshotError):
    """No architecture satisfies the constraint."""


class DataError(FewshotError):
    """Images, labels or tables cannot be read or do not fit together."""


class RunFolderError(FewshotError):
    """The run folder cannot be used: not writable, of another recipe, damaged, in use."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A ``did you mean`` clause for ``name``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else ""
