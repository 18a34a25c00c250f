"""What a run was made of: every image by its name, its class, its part and its content.

A folder of images is a name, and what lies behind a name changes. The run folder therefore keeps
the list of its images. Whoever opens the run again finds the same parts in it, and is told if the
images are others by now.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fewshot_core.data.decode import Listing
from fewshot_core.data.images import Images
from fewshot_core.errors import DataError, RunFolderError
from fewshot_core.runs.files import write_atomic

IMAGES = "images.csv.gz"
"""The file of a run folder that keeps its inventory."""

TRAIN, VALIDATION, TEST, UNUSED = PARTS = ("train", "validation", "test", "unused")

ROOT, TEST_ROOT = "data.root", "data.test_root"
"""Where an image is listed: with the training images, or in a test part of its own."""

READ_AT_USE = 50_000
"""Of images that are read at every use, so many are looked at one by one; of more, a sample."""

SAMPLE = 5_000

NAMED = 3
"""Names in a message, of each kind of difference."""

_COLUMNS = ("listing", "image", "class", "part", "digest")

Place = tuple[str, str]
"""The listing of an image, and its key there."""


@dataclass(frozen=True)
class Entry:
    """One image.

    Attributes:
        label: The name of its class.
        part: One of :data:`PARTS`.
        digest: Digest of its stored content, 32 hexadecimal digits; empty where it was not
            looked at.
    """

    label: str
    part: str
    digest: str = ""


@dataclass(frozen=True)
class Inventory:
    """All images of a run.

    Attributes:
        classes: In the order of the labels.
        entries: In the order of the listings.
    """

    classes: tuple[str, ...]
    entries: Mapping[Place, Entry]

    @cached_property
    def digest(self) -> str:
        """Of everything: equal where labels, parts and contents are."""
        found = hashlib.blake2b(digest_size=16)
        for text in (*self.classes, *_lines(self)):
            found.update(text.encode("utf-8", "surrogateescape") + b"\n")
        return found.hexdigest()

    def require(self, found: Inventory) -> None:
        """Raise where other images are found than these.

        Raises:
            DataError: In one line: which came, went, changed or moved to another class or part.
        """
        kinds = {
            "came": [place for place in found.entries if place not in self.entries],
            "went": [place for place in self.entries if place not in found.entries],
            "changed": self._differing(found, _content_differs),
            "in another class": self._differing(found, lambda a, b: a.label != b.label),
        }
        parts = [_list_places(kind, places) for kind, places in kinds.items() if places]
        if not parts and self.classes != found.classes:
            parts = [f"classes {', '.join(found.classes[:8])}, not {', '.join(self.classes[:8])}"]
        if parts:
            raise DataError(
                "the images are not those that this run began with",
                found="; ".join(parts),
                allowed=f"the {len(self.entries):,} images of {IMAGES} in the run folder",
                fix="put them back as they were and move new ones away, name their new place with "
                "data.root=, or start another run=DIR with the images as they are now",
            )

    def _differing(self, found: Inventory, differ: Callable[[Entry, Entry], bool]) -> list[Place]:
        both = (place for place in self.entries if place in found.entries)
        return [place for place in both if differ(self.entries[place], found.entries[place])]

    def indices(self, listing: Listing, part: str) -> Tensor:
        """Where the images of a part stand in the listing of the training images, ascending."""
        chosen = [
            index
            for index in range(len(listing))
            if self.entries[ROOT, listing.key(index)].part == part
        ]
        return torch.tensor(chosen, dtype=torch.int64)

    def repeated(self) -> int:
        """How many test images have the content of an image that is trained or chosen on."""
        seen = {e.digest for e in self.entries.values() if e.part in (TRAIN, VALIDATION)} - {""}
        return sum(e.digest in seen for e in self.entries.values() if e.part == TEST)


def take_inventory(
    train: Listing,
    parts: Mapping[str, Tensor],
    own_test: Listing | None,
    *,
    in_memory: bool = True,
    contents: bool = True,
) -> Inventory:
    """List all images of a source.

    Args:
        train: The training images.
        parts: int64 indices into them, by part; those of no part are unused.
        own_test: The test images, where they are not a part of ``train``.
        in_memory: Whether every image is decoded anyway. Otherwise, of more than
            :data:`READ_AT_USE` images, the contents of :data:`SAMPLE` are looked at.
        contents: Whether contents are looked at, or names alone.
    """
    names = [UNUSED] * len(train)
    for part, indices in parts.items():
        for index in indices.tolist():
            names[index] = part
    entries = _entries(ROOT, train, names, in_memory, contents)
    if own_test is not None:
        tested = [TEST] * len(own_test)
        entries |= _entries(TEST_ROOT, own_test, tested, in_memory, contents)
    return Inventory(train.classes, entries)


def inventory_of_pixels(parts: Mapping[str, Images]) -> Inventory:
    """The same of images that were made in memory, by part."""
    entries = {}
    for part, images in parts.items():
        labels = images.labels.tolist()
        for index, label in enumerate(labels):
            pixels = images.pixels(torch.tensor([index])).numpy()
            digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest()
            entries[ROOT, f"{part} {index}"] = Entry(images.classes[label], part, digest)
    return Inventory(next(iter(parts.values())).classes, entries)


def _entries(
    where: str, listing: Listing, parts: Sequence[str], in_memory: bool, contents: bool
) -> dict[Place, Entry]:
    used = [index for index, part in enumerate(parts) if part != UNUSED] if contents else []
    if not in_memory and len(used) > READ_AT_USE:
        used = [used[number * len(used) // SAMPLE] for number in range(SAMPLE)]
    looked_at = set(used)
    labels = listing.labels.tolist()
    return {
        (where, listing.key(index)): Entry(
            listing.classes[labels[index]],
            part,
            _digest(listing, index) if index in looked_at else "",
        )
        for index, part in enumerate(parts)
    }


def _digest(listing: Listing, index: int) -> str:
    """Of a file's bytes, which no version of a decoder changes; of a picture, its pixels."""
    try:
        content = listing.read(index)
    except OSError as error:
        raise DataError(
            f"the image {listing.name(index)} cannot be read",
            found=error.strerror or error,
            fix="replace or remove the file",
        ) from error
    if isinstance(content, Image.Image):
        content = f"{content.mode} {content.size} ".encode() + content.tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def write_inventory(path: Path, inventory: Inventory) -> None:
    """Write the file whole: a compressed CSV, its classes in the order of the labels first.

    Raises:
        RunFolderError: It cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["classes", *inventory.classes])
    writer.writerow(_COLUMNS)
    for (listing, key), entry in inventory.entries.items():
        writer.writerow([listing, key, entry.label, entry.part, entry.digest])
    text = buffer.getvalue().encode("utf-8", "surrogateescape")
    # Without a time in it: two runs of the same images have the same file.
    write_atomic(path, lambda beside: _write(beside, gzip.compress(text, mtime=0)))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def read_inventory(path: Path) -> Inventory:
    """The inventory of a run.

    Raises:
        RunFolderError: The file is damaged.
    """
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "surrogateescape")
        rows = csv.reader(io.StringIO(text, newline=""))
        head, *classes = next(rows)
        if head != "classes" or tuple(next(rows)) != _COLUMNS:
            raise ValueError("no inventory")
        return Inventory(tuple(classes), dict(_read(rows, set(classes))))
    except (OSError, EOFError, zlib.error, ValueError, StopIteration, csv.Error) as error:
        raise RunFolderError(
            f"{path} is damaged: it lists the images that this run was made of",
            found=str(error)[:80] or type(error).__name__,
            fix="restore it from a copy of the run, or start another run=DIR",
        ) from None


def _read(rows: Iterable[list[str]], classes: set[str]) -> Iterable[tuple[Place, Entry]]:
    for row in rows:
        listing, key, label, part, digest = row
        if listing not in (ROOT, TEST_ROOT) or part not in PARTS or label not in classes:
            raise ValueError(f"unusable line {','.join(row)}")
        yield (listing, key), Entry(label, part, digest)


def _lines(inventory: Inventory) -> Iterable[str]:
    for (listing, key), entry in inventory.entries.items():
        yield "\0".join((listing, key, entry.label, entry.part, entry.digest))


def _content_differs(kept: Entry, found: Entry) -> bool:
    return bool(kept.digest and found.digest) and kept.digest != found.digest


def _list_places(kind: str, places: Sequence[Place]) -> str:
    names = ", ".join(key for _, key in places[:NAMED])
    more = ", ..." if len(places) > NAMED else ""
    where = Counter(listing for listing, _ in places)
    of_test = " (test part)" if set(where) == {TEST_ROOT} else ""
    return f"{len(places):,} {kind}{of_test}: {names}{more}"
