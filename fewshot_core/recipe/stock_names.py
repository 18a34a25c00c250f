"""Words for stock models: ``timm:NAME`` with its published weights, ``scratch:NAME`` without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

PRETRAINED, SCRATCH = "pretrained", "scratch"
"""What the training of a stock model starts from."""

RIVALS = ("random", "largest", "one-shot")
"""Architectures of the space that may be trained beside the one found."""

_STARTS = {"timm": PRETRAINED, "scratch": SCRATCH}
_FOLDER = "local-dir:"


def stock_name(text: str) -> tuple[str, str] | None:
    """Name and start of the stock model that a word means; None where it means none."""
    kind, colon, name = text.partition(":")
    return (name, _STARTS[kind]) if colon and name and kind in _STARTS else None


def check_rivals(key: str, rivals: Sequence[str]) -> Iterator[str]:
    """A line for each word of a list that means nothing to train."""
    for rival in rivals:
        found = stock_name(rival)
        if found is None and rival not in RIVALS:
            allowed = f"{', '.join(RIVALS)}, timm:NAME, scratch:NAME"
            yield f"{key} has {rival!r}; allowed: {allowed}"
        elif found and found[0].startswith(_FOLDER):
            folder = found[0].removeprefix(_FOLDER)
            if not Path(folder).is_absolute():
                yield f"{key} has {rival!r}: a folder of weights needs its whole path, from / on"
