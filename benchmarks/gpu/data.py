"""The images of the GPU benchmark: packed into one small file, and random ones.

A packed file holds the JPEG files as they are. What their headers repeat vanishes by compression.
"""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fewshot_core.data import ImageArray, ImageData
from fewshot_core.data.images import channel_statistics, class_balanced_split
from fewshot_core.data.inventory import Inventory
from fewshot_core.runs.threads import available_cores

PACKED = 40_000
"""Images of a packed file; the same number of each class."""

VALIDATION = 5_000
"""Images that are held out, at most, and a tenth at most."""

_CHUNK = 500  # images that a thread decodes at a time


class MemoryImages(ImageData):
    """Images that many runs share: what they are is found out once."""

    def inventory(self) -> Inventory:
        return self._inventory

    @cached_property
    def _inventory(self) -> Inventory:
        return super().inventory()


def pack(source: Path, target: Path, count: int = PACKED) -> int:
    """Write the first images of each class of a tar file; the size of the file in bytes.

    Args:
        source: With a folder for each class.
        target: Ends in ``.npz``.
        count: Images in all.
    """
    with tarfile.open(source) as tar:
        members = sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)
        classes = sorted({_class_of(m) for m in members})
        each, taken = count // len(classes), Counter[str]()
        files: list[bytes] = []
        labels: list[int] = []
        for member in members:
            name = _class_of(member)
            opened = tar.extractfile(member)
            if taken[name] < each and opened is not None:
                taken[name] += 1
                files.append(opened.read())
                labels.append(classes.index(name))
    np.savez_compressed(
        target,
        files=np.frombuffer(b"".join(files), np.uint8),
        sizes=np.array([len(file) for file in files], np.uint32),
        labels=np.array(labels, np.uint8),
        classes=np.array(classes),
    )
    return target.stat().st_size


def unpack(path: Path) -> ImageData:
    """Decode a packed file, with a tenth of it held out."""
    with np.load(path, allow_pickle=False) as packed:
        whole, sizes = packed["files"].tobytes(), packed["sizes"].tolist()
        labels, classes = packed["labels"].astype(np.int64), tuple(packed["classes"].tolist())
    ends = np.cumsum(sizes).tolist()
    files = [whole[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    pixels = np.empty((len(files), *_decode(files[0]).shape), np.uint8)

    def decode(start: int) -> None:
        for index in range(start, min(start + _CHUNK, len(files))):
            pixels[index] = _decode(files[index])

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(decode, range(0, len(files), _CHUNK)))
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return hold_images(images, torch.from_numpy(labels), classes)


def random_images(count: int, size: int, classes: int) -> ImageData:
    """Images of noise, with a tenth of them held out."""
    images = random_array(count, size, classes)
    return hold_images(images.images, images.labels, images.classes)


def random_array(count: int, size: int, classes: int) -> ImageArray:
    """Images of noise; the labels go round."""
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, size, size)
    pixels = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    names = tuple(f"{label:04d}" for label in range(classes))
    return ImageArray(pixels, torch.arange(count) % classes, names)


def hold_images(pixels: Tensor, labels: Tensor, classes: tuple[str, ...]) -> ImageData:
    """Images as those of a run; a few stand for a test part that nobody reads."""
    share = min(0.1, VALIDATION / len(labels))
    train, validation = class_balanced_split(labels, share, 0, classes)
    train, test = train[len(classes) :], train[: len(classes)]
    parts = [ImageArray(pixels[part], labels[part], classes) for part in (train, validation, test)]
    mean, std = channel_statistics(parts[0].images)
    return MemoryImages(
        source="memory",
        train=parts[0],
        validation=parts[1],
        mean=mean,
        std=std,
        test_count=len(test),
        load_test=lambda: parts[2],
    )


def _class_of(member: tarfile.TarInfo) -> str:
    return PurePosixPath(member.name).parent.name


def _decode(file: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB"))
