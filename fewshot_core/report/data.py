"""The data of a run: where it is from, what its parts are for, and samples of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fewshot_core.report.account import (
    account_of,
    channels_text,
    classes_text,
    count_of,
    data_name,
)
from fewshot_core.report.classes import Classes
from fewshot_core.report.markup import Cell, facts_table, section, table
from fewshot_core.report.page import Page


def data_section(page: Page) -> str:
    """The section; nothing where no image was looked at."""
    data, settings = page.facts.data, page.recipe.data
    if not data:
        return ""
    size, searched = data.get("image_size"), settings.search_size
    uses = account_of(page.recipe, page.facts).uses()
    names = {"train": "training images"}
    parts = [
        (names.get(part, f"{part} images"), f"{count_of(data, part).strip() or 'some'}, {use}")
        for part, use in uses.items()
    ]
    smaller = page.facts.trained_regions() and searched not in (None, size)
    limit = settings.limit
    return section(
        "Data",
        facts_table(
            [
                ("source", data_name(settings)),
                *parts,
                (
                    "limit",
                    None
                    if limit is None
                    else f"at most {limit:,} images to train and validate with",
                ),
                ("image", f"{size} × {size} pixels, {channels_text(data.get('channels'))}"),
                ("for supernets", f"{searched} × {searched} pixels" if smaller else None),
                ("classes", classes_text(settings, data.get("classes"))),
            ]
        ),
        "" if page.facts.classes is None else _samples(page, page.facts.classes),
    )


def _samples(page: Page, classes: Classes) -> str:
    size, names = len(classes), page.class_names(len(classes))
    items = [
        _item(names[label] if size > 1 else "", classes, label, pictures)
        for label, pictures in classes.samples.items()
    ]
    few = len(items) < size
    some = f" {len(items)} of the {size:,} classes are shown." if few else ""
    one = ' class="classes one"' if size == 1 else ' class="classes"'
    return (
        f"<h3>Training images</h3><ul{one}>{''.join(items)}</ul>"
        f'<p class="note">Training images at equal distances, none of them chosen.{some}</p>'
        + (_every(classes, names) if few else "")
    )


def _item(name: str, classes: Classes, label: int, pictures: Sequence[str]) -> str:
    counts = _counts(classes, label)
    heading = f"<strong>{escape(name)}</strong> <small>{escape(counts)}</small>" if name else ""
    alt = f"{len(pictures)} training images of class {name}" if name else "training images"
    images = "".join(f'<img src="{text}" alt="">' for text in pictures)
    return (
        f'<li>{heading}<div class="strip" role="img" aria-label="{escape(alt)}">{images}</div></li>'
    )


def _counts(classes: Classes, label: int) -> str:
    words = {"train": "training"}
    parts = [(words.get(part, part), row[label]) for part, row in classes.counts.items()]
    return " · ".join(f"{count:,} {part}" for part, count in parts)


def _every(classes: Classes, names: Sequence[str]) -> str:
    rows: list[list[Cell]] = [
        [names[label], *(row[label] for row in classes.counts.values())]
        for label in range(len(classes))
    ]
    shown = table(["class", *classes.counts], rows)
    return f"<details><summary>Images of every class</summary>{shown}</details>"
