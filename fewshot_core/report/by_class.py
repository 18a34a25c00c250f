"""Results class by class: a confusion matrix, accuracies, and the images that went most wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from fewshot_core.report.markup import Cell, section, table
from fewshot_core.report.page import Page
from fewshot_core.report.tested import Tested, TestedImage
from fewshot_core.runs.retrained import base_label, without_places

NUMBERED = 20
"""Up to so many classes the matrix is a table of numbers; of more it is a drawing."""

DRAWN = 100
"""Up to so many classes it is drawn."""

ROWS = 20
"""Classes, and confusions, that are listed before the others."""

COLUMNS = 4
"""Networks whose accuracies stand beside each other."""

NAME = 14
"""Characters of a class's name at the edge of a matrix."""


def by_class_section(page: Page) -> str:
    """The section; nothing where no classifier was retrained."""
    every = page.facts.tested
    if not every:
        return ""
    first, names = every[0], page.class_names(len(every[0].images))
    matrix = _matrix(first, names)
    return section(
        "Class by class",
        f"<p>{escape(_summary(first, names))}</p>",
        f'<div class="figures"><div>{matrix}{_confusions(first, names)}</div>'
        f"<div>{_accuracies(every, names)}</div></div>",
        _worst(first, names),
    )


def _summary(tested: Tested, names: Sequence[str]) -> str:
    every = tested.seeds * sum(tested.images)
    wrong = every - sum(tested.right)
    if tested.seeds > 1:
        text = f"{wrong:,} of {every:,} answers of the networks of {tested.seeds} seeds "
        text += f"({tested.name}) are wrong"
    else:
        text = f"The network ({tested.name}) got {wrong:,} of {every:,} test images wrong"
    if not wrong:
        return f"{text}."
    worst = _order(tested)[0]
    (a, b), count = tested.commonest()[0]
    return (
        f"{text}. Hardest class: {names[worst]}, {100 * tested.share(worst):.1f} % right. "
        f"Commonest mistake: {names[a]} taken for {names[b]}, {count:,} of "
        f"{tested.seeds * tested.images[a]:,}."
    )


def _order(tested: Tested) -> list[int]:
    """The classes that have test images, the hardest first."""
    labels = [label for label, count in enumerate(tested.images) if count]
    return sorted(labels, key=lambda label: (tested.share(label), label))


# -- the matrix ----------------------------------------------------------------------------------


def _matrix(tested: Tested, names: Sequence[str]) -> str:
    count = len(names)
    if count > DRAWN:
        return ""
    drawn = _numbers(tested, names) if count <= NUMBERED else _squares(tested, names)
    seeds = f", the networks of {tested.seeds} seeds added up" if tested.seeds > 1 else ""
    many = "" if count <= NUMBERED else " Classes are in the order of their names in data.json."
    return (
        f'<figure class="matrix">{drawn}<figcaption>Confusion matrix: a row for each class, a '
        f"column for what its images were taken for{seeds}. Blue: right. Orange: wrong. The "
        f"stronger the colour, the larger the share of the class.{many}</figcaption></figure>"
    )


def _numbers(tested: Tested, names: Sequence[str]) -> str:
    """A table whose cells have a colour; it is read aloud as any other."""
    upright = ' class="upright"' if max(map(len, names)) > 3 else ""
    head = "".join(
        f'<th scope="col"{upright} title="{escape(name)}"><span>{escape(_short(name))}</span></th>'
        for name in names
    )
    rows = []
    for label, name in enumerate(names):
        cells = "".join(_number(tested, label, other) for other in range(len(names)))
        rows.append(
            f'<tr><th scope="row" title="{escape(name)}">{escape(_short(name))}</th>{cells}</tr>'
        )
    return (
        '<div class="wide"><table aria-label="Confusion matrix: classes by what they were taken '
        f'for"><thead><tr><td></td>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _number(tested: Tested, label: int, other: int) -> str:
    count = _count(tested, label, other)
    if not count:
        return '<td class="none">0</td>'
    kind = "right" if label == other else "wrong"
    return f'<td class="{kind}" style="--p:{_strength(tested, label, count)}">{count:,}</td>'


def _count(tested: Tested, label: int, other: int) -> int:
    return tested.right[label] if label == other else tested.confusions.get((label, other), 0)


def _strength(tested: Tested, label: int, count: int) -> int:
    """Of a colour, in percent: the root of the share, since mistakes are rare and have to show."""
    return round(100 * math.sqrt(count / (tested.seeds * tested.images[label])))


def _squares(tested: Tested, names: Sequence[str]) -> str:
    """A drawing; the lists beside and below it have the numbers."""
    size = len(names)
    marks = []
    for label in range(size):
        others = [label, *(b for a, b in tested.confusions if a == label)]
        for other in sorted(others):
            count = _count(tested, label, other)
            if count:
                kind = "right" if label == other else "wrong"
                what = f"{names[label]} taken for {names[other]}: {count:,}"
                marks.append(
                    f'<rect class="{kind}" x="{other}" y="{label}" width="1" height="1" '
                    f'style="--p:{_strength(tested, label, count)}">'
                    f"<title>{escape(what)}</title></rect>"
                )
    return (
        f'<svg viewBox="-.5 -.5 {size + 1} {size + 1}" role="img" aria-label="Confusion matrix of '
        f'{size} classes; the numbers are in the lists beside it">'
        f'<rect class="edge" x="-.2" y="-.2" width="{size + 0.4}" height="{size + 0.4}"/>'
        f"{''.join(marks)}</svg>"
    )


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


# -- the lists -----------------------------------------------------------------------------------


def _accuracies(every: Sequence[Tested], names: Sequence[str]) -> str:
    first = every[0]
    same = [one for one in every if list(one.images) == list(first.images)]
    shown = list({base_label(one.label): one for one in reversed(same)}.values())[::-1][:COLUMNS]
    header = ["class", "images", *(base_label(without_places(one.label)) for one in shown)]
    rows: list[list[Cell]] = [
        [names[label], first.images[label], *(f"{100 * one.share(label):.1f}" for one in shown)]
        for label in _order(first)
    ]
    means = " Means over the seeds." if max(one.seeds for one in shown) > 1 else ""
    whose = "; ".join(f"{base_label(without_places(one.label))}: {one.name}" for one in shown)
    caption = "Test images of every class and how many % of them were named rightly, the hardest "
    caption += f"class first. {whose[:1].upper()}{whose[1:]}.{means}"
    shown_rows, rest = rows[:ROWS], rows[ROWS:]
    text = table(header, shown_rows, caption=caption)
    if rest:
        what = "The other class" if len(rest) == 1 else f"The other {len(rest):,} classes"
        text += f"<details><summary>{what}</summary>{table(header, rest)}</details>"
    return text


def _confusions(tested: Tested, names: Sequence[str]) -> str:
    """The commonest mistakes as a list, where the matrix has no numbers."""
    if len(names) <= NUMBERED or not tested.confusions:
        return ""
    rows: list[list[Cell]] = [
        [names[a], names[b], count, f"{100 * count / (tested.seeds * tested.images[a]):.1f}"]
        for (a, b), count in tested.commonest()[:ROWS]
    ]
    header = ["class", "taken for", "times", "% of the class"]
    return "<h3>Commonest confusions</h3>" + table(header, rows)


# -- the images ----------------------------------------------------------------------------------


def _worst(tested: Tested, names: Sequence[str]) -> str:
    if not tested.worst:
        return ""
    wrong = sum(one.target != one.predicted for one in tested.worst)
    which = "of the first seed " if tested.seeds > 1 else ""
    items = "".join(_item(one, names) for one in tested.worst)
    return (
        f'<h3>The worst test images</h3><ul class="images">{items}</ul>'
        f'<p class="note">The {len(tested.worst)} test images to whose class the network {which}'
        f"gave the least probability, the worst first; {wrong:,} of them were named wrongly. The "
        "percentage is how sure it was of its answer.</p>"
    )


def _item(image: TestedImage, names: Sequence[str]) -> str:
    name, taken = names[image.target], names[image.predicted]
    if image.target == image.predicted:
        said = f"{escape(name)}, right"
        alt = f"Test image {image.index}, class {name}"
        kind = "right"
    else:
        said = f"{escape(name)}, taken for {escape(taken)}"
        alt = f"Test image {image.index}, class {name}, taken for {taken}"
        kind = "wrong"
    return (
        f'<li class="{kind}"><img src="{image.picture}" alt="{escape(alt)}" loading="lazy">'
        f"<span>{said}</span> <small>{100 * image.likely:.0f}\u00a0%</small></li>"
    )
