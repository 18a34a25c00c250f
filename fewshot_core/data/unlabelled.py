"""Images without classes, which generators can be trained on: every image is of one class."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import torch
from timm.data.readers.img_extensions import get_img_extensions
from torch import Tensor

from fewshot_core.data.decode import Listing, open_image
from fewshot_core.data.folders import extensions_text, is_hidden
from fewshot_core.errors import DataError

ONE_CLASS = ("image",)


def list_unlabelled(root: str | Path, setting: str = "data.root") -> Listing:
    """All images of a folder or tar file, whatever folders they lie in, in the order of names.

    Args:
        root: The folder or ``.tar`` file.
        setting: The setting that named it, for messages.

    Raises:
        DataError: It is missing or damaged, or has no images.
    """
    path = Path(root).expanduser()
    if not path.exists():
        raise DataError(f"{setting}: {path} does not exist", allowed="a folder or a .tar file")
    names, read = _folder(path) if path.is_dir() else _tar(path, setting)
    used = sorted(name for name in names if _is_image(PurePosixPath(name)))
    if not used:
        raise DataError(f"{setting}: {path} has no images in it", allowed=extensions_text())
    classes, labels = one_class(len(used))
    return Listing(
        where=str(path),
        classes=classes,
        labels=labels,
        open=lambda i: open_image(read(used[i])),
        name=lambda i: f"{path}/{used[i]}",
    )


def one_class(count: int) -> tuple[tuple[str, ...], Tensor]:
    """Class names and labels of ``count`` images without classes."""
    return ONE_CLASS, torch.zeros(count, dtype=torch.int64)


def without_classes(listing: Listing) -> Listing:
    """The same images, all of one class."""
    return Listing(
        listing.where,
        ONE_CLASS,
        torch.zeros_like(listing.labels),
        listing.open,
        listing.name,
        listing.close,
    )


Reader = tuple[list[str], Callable[[str], bytes]]


def _folder(path: Path) -> Reader:
    names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
    return names, lambda name: (path / name).read_bytes()


def _tar(path: Path, setting: str) -> Reader:
    try:
        with tarfile.open(path, "r:") as tar:
            places = {m.name: (m.offset_data, m.size) for m in tar.getmembers() if m.isfile()}
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{setting}: {path} is not a readable tar file",
            found=error,
            allowed="a folder or an uncompressed .tar file",
        ) from error

    def read(name: str) -> bytes:
        start, size = places[name]
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)

    return list(places), read


def _is_image(name: PurePosixPath) -> bool:
    return name.suffix.lower() in get_img_extensions() and not is_hidden(name.parts)
