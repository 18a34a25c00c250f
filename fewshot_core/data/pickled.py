"""Down-sampled ImageNet, whose images are published as pickled arrays.

A file is a dictionary: ``data``, uint8 ``[N, 3 * side * side]``, red before green before blue, and
``labels``, N numbers from 1 on (Chrabaszcz et al., "A downsampled variant of ImageNet", 2017).
ImageNet16-120 of NAS-Bench-201 is its first 120 classes (Dong and Yang, ICLR 2020).

A pickle is a program. Here it may name numpy's arrays and nothing else.
"""

from __future__ import annotations

import io
import math
import pickle
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fewshot_core.data.rule import show_name
from fewshot_core.data.tree import require_place
from fewshot_core.errors import DataError
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import write_atomic

TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST = ("val_data",)

_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),  # how a newer pickle writes the bytes of an older protocol
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, texts and numpy's arrays; anything else is an error."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names, if that is an array.

        Raises:
            pickle.UnpicklingError: It is something else.
        """
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")
        return super().find_class(module, name)


@dataclass(frozen=True)
class Batch:
    """What a file holds.

    Attributes:
        images: uint8 ``[N, side, side, 3]``.
        labels: int64 ``[N]``, from 1 on.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_batch(path: Path) -> Batch:
    """Read a file without running what it says.

    Raises:
        DataError: It is not there, damaged, or holds anything but images and labels.
    """
    require_place(path, "images", "a folder of down-sampled ImageNet")
    try:
        with path.open("rb") as file:
            found = ArrayUnpickler(file, encoding="latin1").load()
        images, labels = (np.asarray(found[key]) for key in ("data", "labels"))
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(
            f"{show_name(path)} is not a file of down-sampled ImageNet",
            found=str(error) or type(error).__name__,
            allowed="a pickled dictionary of `data` and `labels`",
        ) from error
    side = math.isqrt(images.shape[1] // 3) if images.ndim == 2 else 0
    if images.dtype != np.uint8 or not side or images.shape[1] != 3 * side * side:
        raise DataError(
            f"the images in {show_name(path)} do not fit",
            found=f"{images.dtype} {list(images.shape)}",
            allowed="uint8 [N, 3 x side x side]",
        )
    whole = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    if not whole or len(labels) != len(images) or (len(labels) and labels.min() < 1):
        raise DataError(
            f"the labels in {show_name(path)} do not fit",
            found=f"{labels.dtype} {list(labels.shape)}",
            allowed=f"{len(images)} whole numbers from 1 on",
        )
    pixels = images.reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
    return Batch(pixels, labels.astype(np.int64))


def convert(folder: Path, to: Path, classes: int, console: Console) -> list[str]:
    """Write the images of the first classes as ``train.tar`` and ``test.tar``.

    Args:
        folder: Holds :data:`TRAIN` and :data:`TEST`.
        to: Gets the files; it is made.
        classes: How many classes, 1 to 1000.
        console: Shows progress.

    Returns:
        A line for each file that was written, and one that says how to use them.

    Raises:
        DataError: A file cannot be read or written, or one of the two is there.
    """
    if not 1 <= classes <= 1000:
        raise DataError("classes is out of range", found=classes, allowed="1 to 1000")
    for name in (*TRAIN, *TEST):
        require_place(folder / name, "images", f"{TRAIN[0]} to {TRAIN[-1]} and {TEST[0]}")
    targets = {"train": to / "train.tar", "test": to / "test.tar"}
    for path in targets.values():
        if path.exists():
            raise DataError(
                f"{show_name(path)} is there already", fix="move it away, or name another to="
            )
    lines = []
    try:
        for (part, path), names in zip(targets.items(), (TRAIN, TEST), strict=True):
            with console.progress(f"{part} images", len(names), 0) as tick:
                count = _write_part(path, [folder / name for name in names], classes, tick)
            lines.append(f"{path}: {count:,} images")
    except BaseException:  # one without the other is of no use, and would be in the way
        for path in targets.values():
            path.unlink(missing_ok=True)
        raise
    roots = f"data.root={targets['train']} data.test_root={targets['test']}"
    return [*lines, f"use them with data.source=images {roots}"]


def _write_part(
    path: Path, files: Sequence[Path], classes: int, tick: Callable[[int], object]
) -> int:
    """Write one of the two, or nothing; returns the number of its images."""
    count = 0

    def write(beside: Path) -> None:
        nonlocal count
        with tarfile.open(beside, "w") as tar:
            for number, file in enumerate(files, start=1):
                count += _add(tar, read_batch(file), number, classes)
                tick(number)
        if not count:
            raise DataError(f"no image of the first {classes} classes for {show_name(path)}")

    write_atomic(path, write)
    return count


def _add(tar: tarfile.TarFile, batch: Batch, number: int, classes: int) -> int:
    """Add the images of a file whose classes are wanted; returns how many they are."""
    wanted = np.flatnonzero(batch.labels <= classes)
    for index in wanted:
        content = io.BytesIO()
        Image.fromarray(batch.images[index]).save(content, "PNG")
        member = tarfile.TarInfo(f"{batch.labels[index]:04d}/{number:02d}_{index:06d}.png")
        member.size = content.tell()
        content.seek(0)
        tar.addfile(member, content)
    return len(wanted)
