"""What a look at the images has found, in words: tables for terminals of any width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from fewshot_core.data.rule import show_name
from fewshot_core.data.survey import PartSurvey, Survey
from fewshot_core.recipe.fitting import FittedSetting

FEW = 10
"""A class with fewer images than this is named."""

UNEVEN = 5
"""Classes are uneven where the largest has so many times the images of the smallest."""

NAMED = 4
"""Names in a line about many."""

_MODES = {
    "1": "black and white",
    "L": "gray",
    "LA": "gray",
    "RGB": "RGB",
    "RGBA": "RGB",
    "P": "palette",
    "PA": "palette",
    "CMYK": "CMYK",
    "YCbCr": "YCbCr",
    "LAB": "Lab",
    "HSV": "HSV",
}


def found_table(survey: Survey) -> Table:
    """What there is, a line for each thing."""
    return _two_columns(_found(survey))


def choice_table(choices: Sequence[FittedSetting]) -> Table:
    """Each choice as a word that can be typed, with its reason."""
    return _two_columns((choice.word, choice.reason) for choice in choices)


def bad_lines(survey: Survey) -> Iterator[str]:
    """Every file that cannot be used, a line each, with what is wrong with it."""
    for name, fault in survey.bad:
        yield f"  {name}: {fault}"


def concerns(survey: Survey, side: int) -> Iterator[str]:
    """What the user should know before anything is trained, a line for each thing.

    Args:
        survey: What was found.
        side: Side in pixels that images will have.
    """
    if survey.sampled:
        yield (
            f"sizes, formats, damage and copies are those of {survey.looked_at:,} images, "
            f"taken at equal distances from all {len(survey):,}"
        )
    yield from _uneven(survey)
    small = [short for short in survey.short_sides if 2 * short < side]
    if small:
        yield (
            f"{_images(len(small), 'has', 'have')} a side of less than half of "
            f"{side} pixels, the smallest {small[0]}: enlarged, they are blurred"
        )
    if survey.contradictions:
        yield (
            f"{_images(len(survey.contradictions), 'lies', 'lie')} in two classes as the same "
            f"file, which contradicts itself: {_pairs(survey.contradictions)}"
        )
    if survey.crossing:
        yield (
            f"{_images(len(survey.crossing), 'occurs', 'occur')} in the test part and in the "
            f"training part, so test figures will be too high: {_pairs(survey.crossing)}"
        )
    if survey.copies:
        held = ", which may end in other parts" if survey.test is None else ""
        some = _images(len(survey.copies), "is a copy of another", "are copies of others")
        yield f"{some}{held}: {_pairs(survey.copies)}"
    if survey.rotated:
        yield (
            f"{_images(survey.rotated, 'has', 'have')} an EXIF orientation, which is not applied; "
            "exiftran -ai or jpegtran turn the files"
        )


def _uneven(survey: Survey) -> Iterator[str]:
    counts = survey.train.counts
    few = {name: count for name, count in counts.items() if count < FEW}
    if few:
        some = [f"{show_name(name)} {count}" for name, count in list(few.items())[:NAMED]]
        more = ", ..." if len(few) > NAMED else ""
        classes = "1 class has" if len(few) == 1 else f"{len(few):,} classes have"
        yield f"{classes} fewer than {FEW} images: {', '.join(some)}{more}"
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] >= UNEVEN * counts[least]:
        yield (
            f"classes are uneven: {show_name(most)} has {counts[most]:,} images, "
            f"{show_name(least)} {counts[least]:,}; always to say {show_name(most)} would be right "
            f"in {100 * counts[most] / len(survey.train):.0f} %"
        )


def _found(survey: Survey) -> Iterator[tuple[str, str]]:
    yield "images", f"{len(survey):,} in {len(survey.train.counts):,} classes"
    yield "parts", _parts(survey)
    yield "per class", _per_class(survey.train)
    if survey.sizes:
        shorts = survey.short_sides
        middle = sorted(survey.sizes, key=min)[(len(shorts) - 1) // 2]
        text = f"{middle[0]} x {middle[1]} pixels in the middle, shorter sides "
        even = shorts[0] == shorts[-1]
        yield "sizes", text + (f"all {shorts[0]}" if even else f"from {shorts[0]} to {shorts[-1]}")
        yield "formats", _counts(survey.formats)
        yield "colours", _colours(survey)
    if survey.left_out:
        yield "left out", survey.left_out.partition(": ")[2]


def _parts(survey: Survey) -> str:
    train = f"{len(survey.train):,} in {survey.train.where}"
    if survey.test is None:
        return f"{train}; no test part of their own, so one is set aside"
    return f"{train}, and {len(survey.test):,} to test in {survey.test.where}"


def _per_class(part: PartSurvey) -> str:
    counts = part.counts
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[least] == counts[most]:
        return f"{counts[least]:,} each"
    return (
        f"from {counts[least]:,} ({show_name(least)}) to {counts[most]:,} ({show_name(most)}), "
        f"{len(part) / len(counts):,.0f} on average"
    )


def _colours(survey: Survey) -> str:
    named: Counter[str] = Counter()
    for mode, count in survey.modes.items():
        named[_MODES.get(mode, mode)] += count
    text = _counts(named)
    return f"{text}; {survey.transparent:,} can be transparent" if survey.transparent else text


def _counts(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ranked) == 1:
        return f"all {ranked[0][0]}"
    return ", ".join(f"{name} {count:,}" for name, count in ranked)


def _images(count: int, one: str, more: str) -> str:
    return f"1 image {one}" if count == 1 else f"{count:,} images {more}"


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    some = [f"{one} = {other}" for one, other in pairs[:NAMED]]
    return ", ".join(some) + (", ..." if len(pairs) > NAMED else "")


def _two_columns(rows: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    # What is typed must come out whole; the reasons wrap beside it.
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for left, right in rows:
        table.add_row(_plain(f"  {left}"), _plain(right))
    return table


def _plain(text: str) -> str:
    """In a table, where names may look like markup."""
    return escape(text)
