"""WebDataset shards: tar files in which the members of a sample share the name before the dot.

The package ``webdataset`` reads shards as a stream, whereas a batch here is a function of its step.
Each shard is therefore read through once for the places of its members; images are then read by
place. Only the image and the label of a sample are read at all, so pickles and arrays in a shard
are never opened.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from timm.data.readers.img_extensions import get_img_extensions
from timm.utils.misc import natural_key

from fewshot_core.data.decode import Listing, open_image
from fewshot_core.data.folders import TEST_FOLDERS, is_hidden, train_and_test_folders
from fewshot_core.data.labels import numbered
from fewshot_core.data.unlabelled import one_class
from fewshot_core.errors import DataError

_ROOTS = "a folder of .tar files, or their name with {0000..0099}, {a,b} or *, in quotes"
_SAMPLE = re.compile(r"(?P<key>(?:.*/)?[^./]+)\.(?P<kind>[^/]+)")  # the format's own division
_META = re.compile(r"(^|/)__[^/]*__(/|$)")  # keys that the format sets aside
_REMOTE = re.compile(r"[a-z][a-z0-9+]+:", re.IGNORECASE)

Place = tuple[int, int]
"""Where a member's bytes begin, and how many there are."""


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
    names: list[str] = []
    labels: list[int | str] = []
    places: list[tuple[int, int, int]] = []
    for number, shard in enumerate(shards):
        for name, (start, size), label in _samples(shard, keys):
            names.append(name)
            labels.append(label)
            places.append((number, start, size))
    table = np.array(places, dtype=np.int64)

    def opened(i: int) -> Image.Image:
        number, start, size = table[i].tolist()
        with shards[number].open("rb") as file:
            return open_image(_read(file, (start, size)))

    classes, numbers = numbered(where, labels) if keys.labelled else one_class(len(names))
    return Listing(
        where=where,
        classes=classes,
        labels=numbers,
        open=opened,
        name=lambda i: f"{shards[table[i, 0]]}: {names[i]}",
    )


def find_shards(root: str, setting: str = "data.root") -> list[Path]:
    """The shards that a name stands for, each once.

    Args:
        root: A folder of ``.tar`` files; or a file name with ``{0000..0099}``, ``{a,b}`` or ``*``.
        setting: The setting that named it, for messages.

    Raises:
        DataError: They are not on this machine, there are none, or one of them is missing.
    """
    _check_local(root, setting)
    found: list[Path] = []
    for name in _expanded(root):
        path = Path(name).expanduser()
        if path.is_dir():
            here = sorted(path.glob("*.tar"), key=_natural)
            here = [shard for shard in here if not is_hidden([shard.name])]
        elif has_magic(name) and not path.exists():
            here = sorted(map(Path, glob(str(path))), key=_natural)
        else:
            here = [path]
        if not here:
            raise DataError(f"{setting}: there is no shard in or at {name}", allowed=_ROOTS)
        found += here
    if not found:
        raise DataError(f"{setting}: {root} names no shard", allowed=_ROOTS)
    for shard in found:
        if not shard.is_file():
            raise DataError(f"{setting}: the shard {shard} does not exist", allowed=_ROOTS)
    twice = [shard for i, shard in enumerate(found) if shard in set(found[:i])]
    if twice:
        raise DataError(f"{setting}={root} names the shard {twice[0]} twice")
    return found


def train_and_test_shards(root: str) -> tuple[list[Path], list[Path] | None]:
    """The shards of both parts; for the test part none where the source does not tell one apart.

    A folder's parts are its folders, as in :func:`train_and_test_folders`, or told by a word in
    the shards' names: ``train`` and one of ``test``, ``val``, ``validation``.

    Raises:
        DataError: See :func:`find_shards`; or some shards of a folder are of no part.
    """
    _check_local(root, "data.root")
    train, test = train_and_test_folders(root)
    if test is not None:
        return find_shards(str(train)), find_shards(str(test))
    shards = find_shards(root)
    if not Path(root).expanduser().is_dir():
        return shards, None
    parts: dict[str, list[Path]] = {}
    for shard in shards:
        words = re.split("[^a-z]+", shard.name.lower())
        part = next((part for part in ("train", *TEST_FOLDERS) if part in words), "")
        parts.setdefault(part, []).append(shard)
    name = next((name for name in TEST_FOLDERS if name in parts), None)
    if name is None or "train" not in parts:
        return shards, None
    if "" in parts:
        raise DataError(
            f"data.root: {parts[''][0]} lies beside shards of training and test images",
            allowed=f"train or one of {', '.join(TEST_FOLDERS)} in the name",
            fix="name the shards with data.root= and data.test_root=",
        )
    return parts["train"], parts[name]


def _check_local(root: str, setting: str) -> None:
    if _REMOTE.match(root):
        raise DataError(
            f"{setting}: {root} is not on this machine", allowed=_ROOTS, fix="copy the shards here"
        )


def _natural(path: Path) -> list[int | str]:
    parts: list[int | str] = natural_key(str(path))
    return parts


def _expanded(text: str) -> list[str]:
    """What a shell makes of ``{0000..0099}`` and ``{a,b}``."""
    pieces = re.split(r"\{([^{}]*(?:\.\.|,)[^{}]*)\}", text)
    choices = [_choices(piece) if i % 2 else [piece] for i, piece in enumerate(pieces)]
    return ["".join(parts) for parts in product(*choices)]


def _choices(text: str) -> list[str]:
    numbers = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if numbers is None:
        return text.split(",")
    first, last = numbers.groups()
    return [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]


def _samples(shard: Path, keys: ShardKeys) -> Iterator[tuple[str, Place, int | str]]:
    """The image's name and place and the label of each sample of a shard."""
    index = _index(shard)
    with shard.open("rb") as file:
        for key, members in index.items():
            sample = f"{shard}: the sample {key}"
            kind = _image_kind(sample, members, keys.image)
            label = _label(file, sample, members, keys.label) if keys.labelled else 0
            yield f"{key}.{kind}", members[kind], label


def _index(shard: Path) -> dict[str, dict[str, Place]]:
    """By key and ending, where the members of a shard are."""
    index: dict[str, dict[str, Place]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                _enter(index, shard, member)
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{shard} is not a readable tar file", found=error, allowed="an uncompressed .tar file"
        ) from error
    if not index:
        raise DataError(f"{shard} has no samples in it", allowed="members named KEY.ENDING")
    return index


def _enter(index: dict[str, dict[str, Place]], shard: Path, member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name).as_posix()
    sample = _SAMPLE.fullmatch(name)
    if sample is None or _META.search(sample["key"]) or is_hidden(PurePosixPath(name).parts):
        return
    if member.isdir():
        return
    if not member.isreg() or member.issparse():
        raise DataError(f"{shard}: {name} is a link or not a plain file")
    members = index.setdefault(sample["key"], {})
    kind = sample["kind"].lower()
    if kind in members:
        raise DataError(f"{shard} has {sample['key']}.{kind} twice")
    members[kind] = (member.offset_data, member.size)


def _image_kind(sample: str, members: dict[str, Place], wanted: str | None) -> str:
    if wanted is not None:
        if wanted.lower() not in members:
            raise DataError(
                f"{sample} has no {wanted} (data.image_key)", found=", ".join(sorted(members))
            )
        return wanted.lower()
    images = [kind for kind in members if f".{kind}" in _endings()]
    if len(images) != 1:
        raise DataError(
            f"{sample} has {'several images' if images else 'no image'}",
            found=", ".join(sorted(images or members)),
            allowed=f"one member ending in {', '.join(_endings())}",
            fix="data.image_key= names the ending of the image",
        )
    return images[0]


def _endings() -> tuple[str, ...]:
    return (*get_img_extensions(), ".webp")


def _label(file: BinaryIO, sample: str, members: dict[str, Place], wanted: str | None) -> int | str:
    kind, field = wanted or ("cls" if "cls" in members else "json.label"), ""
    if kind.lower() not in members:
        kind, _, field = kind.partition(".")
    kind = kind.lower()
    if kind not in members or (field and kind != "json"):
        raise DataError(
            f"{sample} has no label",
            found=", ".join(sorted(members)),
            allowed=wanted or "cls, or json with a field label",
            fix="data.label_key= names the ending of the label, or json.FIELD; "
            "data.labelled=false does without labels",
        )
    text = _read(file, members[kind]).decode("utf-8", errors="replace").strip()
    value = _json_field(sample, text, field or "label") if kind == "json" else text
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise DataError(
            f"{sample} has an unusable label in {kind}",
            found=repr(value)[:80],
            allowed="a whole number or a name",
        )
    return value


def _json_field(sample: str, text: str, field: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{sample} has no readable json", found=error) from error
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise DataError(
                f"{sample} has no field {field} in its json",
                found=", ".join(map(str, value)) if isinstance(value, dict) else text[:80],
                fix="data.label_key=json.FIELD names another",
            )
        value = value[name]
    return value


def _read(file: BinaryIO, place: Place) -> bytes:
    start, size = place
    file.seek(start)
    data = file.read(size)
    if len(data) < size:
        raise OSError("the shard ends within it")
    return data
