"""Short forms of settings, for words that people type often: ``images=DIR flops=30M``.

They are words of a command and of the Python interface. Recipe files write settings in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

IMAGES = "images"
"""The word for a user's own images."""

FITTING = "mobile_auto"
"""The recipe that is meant where images are named and no recipe is."""


@dataclass(frozen=True)
class ShortForm:
    """A word that stands for settings.

    Attributes:
        key: The setting that gets the value.
        about: What it is, for ``--help``.
        also: Settings that it brings along, with their values as text.
    """

    key: str
    about: str
    also: Mapping[str, str]


SHORT_FORMS: Mapping[str, ShortForm] = {
    IMAGES: ShortForm(
        "data.root",
        "Your images: a folder, .tar, .tar.gz or .zip of class folders. They are looked at first, "
        "and what no recipe and no word sets is chosen to fit them. Without recipe= the recipe "
        f"is {FITTING}.",
        {"data.source": "images", "data.look": "true"},
    ),
    "flops": ShortForm("constraint.flops", "at most so many multiply-adds: flops=30M", {}),
    "params": ShortForm("constraint.params", "at most so many weights: params=2M", {}),
    "latency": ShortForm("constraint.latency", "at most so many ms on this device", {}),
    "budget": ShortForm(
        "search.budget",
        "Passes over the training images that the search may take; how they are spent is chosen.",
        {},
    ),
}
"""The short forms by their word."""


def write_out(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Words with every short form in full, in place: of a setting given twice the last counts."""
    return [full for key, text in pairs for full in _full(key, text)]


def _full(key: str, text: str) -> Iterator[tuple[str, str]]:
    form = SHORT_FORMS.get(key)
    if form is None:
        yield key, text
        return
    yield from form.also.items()
    yield form.key, text


def short_forms_help() -> list[tuple[str, str]]:
    """A word and what it stands for, for each short form."""
    return [
        (f"{word}=", f"{form.about} Short for {form.key}.") for word, form in SHORT_FORMS.items()
    ]
