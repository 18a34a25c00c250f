"""The same images as a folder and as WebDataset shards, for the tests of the sources."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fewshot_core.data.sources import ImageData, load_images
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings

CLASSES = ("cat", "dog", "eel")

Member = tuple[str, bytes]


def png(value: int, size: int = 8) -> bytes:
    """An image whose pixels differ, so that equal arrays say that the right one was read."""
    pixels = (np.arange(size * size * 3).reshape(size, size, 3) + value) % 256
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def images(count: int, first: int = 0) -> list[tuple[int, bytes]]:
    """``count`` images of each class, class by class: labels and files."""
    return [
        (label, png(first + 40 * label + i)) for label in range(len(CLASSES)) for i in range(count)
    ]


def write_folder(root: Path, rows: Sequence[tuple[int, bytes]]) -> Path:
    for i, (label, data) in enumerate(rows):
        path = root / CLASSES[label] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_tar(path: Path, members: Sequence[Member]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def samples(rows: Sequence[tuple[int, bytes]], kind: str = "cls") -> list[Member]:
    """An image and a label for each row; the label's ending is ``kind``."""
    members = []
    for i, (label, data) in enumerate(rows):
        text = {"cls": f"{label}", "json": f'{{"label": {label}, "name": "{CLASSES[label]}"}}'}
        members += [(f"{i:05}.png", data), (f"{i:05}.{kind}", text[kind].encode())]
    return members


def write_shards(
    pattern: str, rows: Sequence[tuple[int, bytes]], count: int = 2, kind: str = "cls"
) -> None:
    """Divide the rows among ``count`` shards; ``pattern`` has one place for the number."""
    size = -(-len(rows) // count)
    for number in range(count):
        part = rows[number * size : (number + 1) * size]
        write_tar(Path(pattern.format(f"{number:04}")), samples(part, kind))


def loader(source: str) -> tuple[Callable[..., ImageData], Callable[..., str]]:
    """Loading from a source, by its root and settings; and the one line that refuses to."""

    def load(root: Path | str | None, **more: object) -> ImageData:
        settings = DataSettings(source=source, root=None if root is None else str(root), **more)
        return load_images(settings, 0)

    def refused(root: Path | str | None, **more: object) -> str:
        with pytest.raises(DataError) as caught:
            load(root, **more)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return load, refused
