"""WebDataset shards: tar files in which the members of a sample share the name before the dot.

The package ``webdataset`` reads shards as a stream, whereas a batch here is a function of its step.
Each shard is therefore read through once for the places of its members; images are then read by
place. Only the image and the label of a sample are read at all, so pickles and arrays in a shard
are never opened.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewshot_core.data import rule
from fewshot_core.data.decode import Listing
from fewshot_core.data.labels import number_classes
from fewshot_core.data.problems import Problems
from fewshot_core.data.rule import key_of, show_name
from fewshot_core.data.tars import Place, Tar, read_at
from fewshot_core.data.unlabelled import one_class
from fewshot_core.errors import DataError

_SAMPLE = re.compile(r"(?P<key>(?:.*/)?[^./]+)\.(?P<kind>[^/]+)")  # the format's own division
_META = re.compile(r"(^|/)__[^/]*__(/|$)")  # keys that the format sets aside


@dataclass(frozen=True)
class ShardKeys:
    """Which members of a sample are read.

    Args:
        image: The image's ending; none: the one that is an image's.
        label: The label's ending, or ``json.FIELD``; none: ``cls``, else ``json.label``.
        labelled: Whether labels are read.
    """

    image: str | None = None
    label: str | None = None
    labelled: bool = True


def list_shards(shards: Sequence[Path], where: str, keys: ShardKeys) -> Listing:
    """The samples of some shards, in the order of the shards and within them.

    Args:
        shards: Uncompressed tar files.
        where: What they are called, for messages.
        keys: What to read of a sample.

    Raises:
        DataError: A shard is damaged or empty, or a sample lacks its image or label, has it twice,
            or has several that could be meant.
    """
    samples: list[tuple[int, _Sample]] = []
    unusable = Problems()
    left_out: Counter[str] = Counter()
    for number, shard in enumerate(shards):
        for sample in _samples(shard, keys, left_out):
            if isinstance(sample, DataError):
                unusable.add(sample)
            else:
                samples.append((number, sample))
    unusable.check()
    places = np.array([(number, *sample.place) for number, sample in samples], dtype=np.int64)
    names = [sample.name for _, sample in samples]
    classes, labels = one_class(len(names))
    if keys.labelled:
        classes, labels = number_classes(where, [sample.label for _, sample in samples])
    members = _Members(shards, _relative(shards), places, names)
    return Listing(
        where=where,
        classes=classes,
        labels=labels,
        read=members.read,
        key=members.key,
        name=members.name,
        left_out=left_out,
    )


@dataclass(frozen=True)
class _Members:
    """Images in shards by number.

    Attributes:
        shards: The tar files.
        below: What each is called below the folder that holds them all.
        places: Shard, first byte and number of bytes, int64 ``[N, 3]``.
        names: Of the samples.
    """

    shards: Sequence[Path]
    below: Sequence[str]
    places: NDArray[np.int64]
    names: Sequence[str]

    def read(self, i: int) -> bytes:
        number, start, size = self.places[i].tolist()
        with self.shards[number].open("rb") as file:
            return read_at(file, Place(start, size))

    def key(self, i: int) -> str:
        return key_of(f"{self.below[self.places[i, 0]]}:{self.names[i]}")

    def name(self, i: int) -> str:
        return show_name(f"{self.shards[self.places[i, 0]]}: {self.names[i]}")


def _relative(shards: Sequence[Path]) -> list[str]:
    """What each is called below the folder that holds them all."""
    folder = os.path.commonpath([shard.absolute().parent for shard in shards])
    return [shard.absolute().relative_to(folder).as_posix() for shard in shards]


class _Sample(NamedTuple):
    name: str
    place: Place
    label: int | str


def _samples(shard: Path, keys: ShardKeys, left_out: Counter[str]) -> Iterator[_Sample | DataError]:
    """Each sample of a shard, or what is wrong with it; ``left_out`` counts other members."""
    index = _index(shard, left_out)
    with shard.open("rb") as file:
        for key, members in index.items():
            sample = f"{show_name(shard)}: the sample {show_name(key)}"
            try:
                kind = _image_kind(sample, members, keys.image)
                label = _label(file, sample, members, keys.label) if keys.labelled else 0
            except DataError as error:
                yield error
            else:
                yield _Sample(f"{key}.{kind}", members[kind], label)


def _index(shard: Path, left_out: Counter[str]) -> dict[str, dict[str, Place]]:
    """By key and ending, where the members of a shard are."""
    tar, index = Tar(shard), dict[str, dict[str, Place]]()
    repeated = set(tar.repeated)
    for path in tar.files():
        sample = _SAMPLE.fullmatch(path)
        if rule.is_hidden_path(path):
            left_out[rule.HIDDEN_FILES] += 1
        elif sample is None:
            left_out[rule.other_file(path)] += 1
        elif _META.search(sample["key"]):
            left_out[f"{rule.OTHER_FILES}: __*__"] += 1
        elif (place := tar.place(path)) is None:
            left_out[rule.SPECIAL_FILES] += 1
        else:
            members = index.setdefault(sample["key"], {})
            kind = sample["kind"].lower()
            if kind in members or path in repeated:
                raise DataError(
                    f"{show_name(shard)} has {show_name(sample['key'])}.{show_name(kind)} twice"
                )
            members[kind] = place
    if not index:
        raise DataError(
            f"{show_name(shard)} has no samples in it",
            found=rule.counts_text([left_out]) or None,
            allowed="members named KEY.ENDING",
        )
    return index


def _image_kind(sample: str, members: dict[str, Place], wanted: str | None) -> str:
    if wanted is not None:
        if wanted.lower() not in members:
            raise DataError(f"{sample} has no {wanted} (data.image_key)", found=_kinds(members))
        return wanted.lower()
    images = [kind for kind in members if f".{kind}" in rule.ENDINGS]
    if len(images) != 1:
        raise DataError(
            f"{sample} has {'several images' if images else 'no image'}",
            found=_kinds(images or members),
            allowed=f"one member ending in {', '.join(rule.ENDINGS)}",
            fix="data.image_key= names the ending of the image",
        )
    return images[0]


def _kinds(members: Iterable[str]) -> str:
    return ", ".join(map(show_name, sorted(members)))


def _label(file: BinaryIO, sample: str, members: dict[str, Place], wanted: str | None) -> int | str:
    kind, field = wanted or ("cls" if "cls" in members else "json.label"), ""
    if kind.lower() not in members:
        kind, _, field = kind.partition(".")
    kind = kind.lower()
    if kind not in members or (field and kind != "json"):
        raise DataError(
            f"{sample} has no label",
            found=_kinds(members),
            allowed=wanted or "cls, or json with a field label",
            fix="data.label_key= names the ending of the label, or json.FIELD; "
            "data.labelled=false does without labels",
        )
    text = read_at(file, members[kind]).decode("utf-8", errors="surrogateescape")
    value = _json_field(sample, text, field or "label") if kind == "json" else _line(text)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise DataError(
            f"{sample} has an unusable label in {kind}",
            found=repr(value)[:80],
            allowed="a whole number or a name",
        )
    return value


def _line(text: str) -> str:
    """Without the end of the line; spaces are part of a name, as they are of a folder's."""
    number = text.strip()
    return number if number.isascii() and number.isdigit() else text.rstrip("\r\n")


def _json_field(sample: str, text: str, field: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{sample} has no readable json", found=error) from error
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise DataError(
                f"{sample} has no field {field} in its json",
                found=show_name(
                    ", ".join(map(str, value)) if isinstance(value, dict) else text[:80]
                ),
                fix="data.label_key=json.FIELD names another",
            )
        value = value[name]
    return value
