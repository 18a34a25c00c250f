"""The style sheet and the script of the page, which are written into it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def read_asset(name: str) -> str:
    """The text of ``page.css`` or ``page.js``.

    Raises:
        FileNotFoundError: There is no such file beside this module.
    """
    return (files("fewshot_core.report") / name).read_text(encoding="utf-8").strip()
