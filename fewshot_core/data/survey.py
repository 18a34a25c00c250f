"""A look at all images before anything is done with them: what there is, and what is wrong.

One pass. Every file is read whole, decoded and compared with the others; of more than
:data:`WHOLE` images a sample is, and whoever shows the result has to say so.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fewshot_core.data.decode import Listing, Progress, Seen, examine, quiet
from fewshot_core.data.sources import Parts
from fewshot_core.errors import DataError
from fewshot_core.recipe.fitting import Facts

WHOLE = 50_000
"""Up to so many images all are looked at."""

SAMPLE = 5_000
"""Images that are looked at where there are more, at equal distances: some of each class."""

THREADS = 4
"""Files that are read at a time; Pillow decodes without Python's lock."""

_AT_ONCE = 64  # images that are handed to the threads before results are taken

GRAY = ("1", "L")


@dataclass(frozen=True)
class PartSurvey:
    """One part of the images, as its source divides them.

    Attributes:
        where: The folder or file.
        counts: Images by class, in the order of the classes.
    """

    where: str
    counts: dict[str, int]

    def __len__(self) -> int:
        return sum(self.counts.values())


@dataclass
class Survey:
    """What was found.

    Attributes:
        train: The images to train, to choose and, without a test part, to test on.
        test: The test part of the source; None: it has none.
        left_out: One line of what lies there and is no image; empty: nothing.
        looked_at: How many images were read.
        sizes: Width and height of each that could be.
        formats: How many by format, such as ``JPEG``; ``picture`` where none is a file.
        modes: How many by Pillow's mode, such as ``RGB``, ``L`` or ``CMYK``.
        transparent: How many have transparent pixels, or could; they count as opaque.
        rotated: How many have an EXIF orientation, which no source applies.
        bad: Name and fault of each image that cannot be used.
        copies: Images whose file is that of another one of their part, beside it: name and name.
        contradictions: Those among them that are of two classes.
        crossing: Test images whose file is that of a training image: name and name.
    """

    train: PartSurvey
    test: PartSurvey | None
    left_out: str
    looked_at: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    formats: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    transparent: int = 0
    rotated: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    contradictions: list[tuple[str, str]] = field(default_factory=list)
    crossing: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.train) + (0 if self.test is None else len(self.test))

    @property
    def sampled(self) -> bool:
        """Whether some images were not looked at."""
        return self.looked_at < len(self)

    @property
    def short_sides(self) -> list[int]:
        """The shorter side of each image, in pixels, ascending."""
        return sorted(map(min, self.sizes))

    def facts(self) -> Facts:
        """What the rule has to know.

        Raises:
            DataError: No image could be read.
        """
        if not self.sizes:
            raise DataError(
                f"no image of {self.train.where} can be read",
                found=f"{len(self.bad):,} files that are damaged or no images",
                fix="see the list above",
            )
        counts = self.train.counts.values()
        return Facts(
            images=len(self.train),
            classes=len(self.train.counts),
            smallest=min(counts),
            side=int(statistics.median_low(self.short_sides)),
            channels=1 if set(self.modes) <= set(GRAY) else 3,
            tested=None if self.test is None else len(self.test),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON value of all but the single images that are in order."""
        sides = self.short_sides
        parts = {"train": self.train, "test": self.test}
        return {
            "parts": {
                name: {"where": part.where, "classes": part.counts}
                for name, part in parts.items()
                if part is not None
            },
            "left_out": self.left_out,
            "images": len(self),
            "looked_at": self.looked_at,
            "short_side": {
                "smallest": sides[0],
                "median": statistics.median_low(sides),
                "largest": sides[-1],
            },
            "formats": dict(self.formats),
            "modes": dict(self.modes),
            "transparent": self.transparent,
            "rotated": self.rotated,
            "copies": self.copies,
            "contradictions": self.contradictions,
            "crossing": self.crossing,
        }


def images_to_read(parts: Parts) -> int:
    """How many images a look at a source reads."""
    count = len(parts.train) + (parts.test_count or 0)
    return count if count <= WHOLE else SAMPLE


def take_survey(parts: Parts, progress: Progress | None = None) -> Survey:
    """Look at the images of a source.

    Args:
        parts: Its listings.
        progress: Called with images done and images in all.

    Raises:
        DataError: The test part has other classes than the training images.
    """
    test = None if parts.test is None else parts.test()
    survey = Survey(_part(parts.train), None if test is None else _part(test), parts.left_out)
    listings = [parts.train] if test is None else [parts.train, test]
    places = [(listing, index) for listing in listings for index in range(len(listing))]
    if len(places) > WHOLE:
        places = [places[number * len(places) // SAMPLE] for number in range(SAMPLE)]
    first: dict[str, tuple[Listing, int]] = {}
    for done, (place, seen) in enumerate(_look(places), start=1):
        survey.looked_at += 1
        if isinstance(seen, DataError):
            survey.bad.append((place[0].name(place[1]), _fault(seen)))
        else:
            _note(survey, seen)
            _compare(survey, place, first.setdefault(seen.digest, place), parts.train)
        if progress is not None:
            progress(done, len(places))
    return survey


def _part(listing: Listing) -> PartSurvey:
    counts = listing.labels.bincount(minlength=len(listing.classes)).tolist()
    return PartSurvey(listing.where, dict(zip(listing.classes, counts, strict=True)))


def _look(
    places: Sequence[tuple[Listing, int]],
) -> Iterator[tuple[tuple[Listing, int], Seen | DataError]]:
    """Look at images in several threads; in their order, and without holding on to many."""
    waiting = iter(places)
    with quiet(), ThreadPoolExecutor(THREADS) as pool:
        while some := list(islice(waiting, _AT_ONCE)):
            yield from zip(some, pool.map(_examine, some), strict=True)


def _examine(place: tuple[Listing, int]) -> Seen | DataError:
    try:
        return examine(*place)
    except DataError as error:
        # A traceback holds on to what was read.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return error


def _fault(error: DataError) -> str:
    """What is wrong, without the name of the file, which stands beside it."""
    text = str(error)
    found = next((part for part in text.split(" | ") if part.startswith("found: ")), text)
    deep = "more than 8 bits" in error.what
    return ("more than 8 bits per channel, " if deep else "") + found.removeprefix("found: ")


def _note(survey: Survey, seen: Seen) -> None:
    survey.sizes.append(seen.size)
    survey.formats[seen.format] += 1
    survey.modes[seen.mode] += 1
    survey.transparent += seen.transparent
    survey.rotated += seen.rotated


def _compare(
    survey: Survey, place: tuple[Listing, int], first: tuple[Listing, int], train: Listing
) -> None:
    """Note an image whose file has been seen before."""
    (listing, index), (earlier, other) = place, first
    if (listing is earlier) and index == other:
        return
    pair = listing.name(index), earlier.name(other)
    if listing is not earlier:
        survey.crossing.append(pair)
        return
    survey.copies.append(pair)
    if listing.labels[index] != listing.labels[other]:
        survey.contradictions.append(pair)
