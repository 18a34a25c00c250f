"""From files to uint8 arrays: every image is decoded once, by PIL."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from fewshot_core.data.problems import Problems
from fewshot_core.data.rule import show_name
from fewshot_core.errors import DataError

Progress = Callable[[int, int], None]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What Pillow may take a file for, whatever its name says: for some other formats it starts
programs of the machine."""

_GRAY = ("1", "L")
_DEEP = ("I", "F")  # and "I;16", "I;16B", ...: more than eight bits, which PIL would clip
_ORIENTATION = 0x0112  # the EXIF tag
LONGEST = 32
"""Longer sides in shorter ones; of an image beyond it the middle is all that is scaled."""
_REPORT_EVERY = 100  # images between two progress calls


@dataclass(frozen=True)
class Listing:
    """Images that are known by label and name, and not decoded.

    Args:
        where: The folder, file or data set, for messages.
        classes: Class names.
        labels: int64 ``[N]``, indices into ``classes``.
        read: The bytes of the file that image i is stored as; a picture where it is stored as no
            file. Nothing is left open. Of sources, this and the next two can be pickled: workers
            that make batches may be processes started from nothing (``spawn``, ``forkserver``).
        key: What image i is called within its source: no other has that name, and it stays when
            the source is moved. It can be written as UTF-8.
        name: What messages call image i.
        left_out: How many files, folders or the like were left out, by reason; see
            :func:`rule.left_out_line`.
    """

    where: str
    classes: tuple[str, ...]
    labels: Tensor
    read: Callable[[int], bytes | Image.Image]
    key: Callable[[int], str]
    name: Callable[[int], str]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Seen:
    """What one image is.

    Attributes:
        format: Pillow's name of it; ``picture`` where it is stored as no file.
        mode: Pillow's mode, such as ``RGB``.
        size: Width and height in pixels.
        transparent: Whether it has transparent pixels, or could; they count as if they were not.
        rotated: Whether its EXIF data say that it is to be turned; no source does.
        digest: Of the stored content, 32 hexadecimal digits.
    """

    format: str
    mode: str
    size: tuple[int, int]
    transparent: bool
    rotated: bool
    digest: str


def open_image(content: bytes) -> Image.Image:
    """The image in a file's bytes, which is not decoded yet."""
    return Image.open(BytesIO(content), formats=FORMATS)


def machine_memory() -> int | None:
    """Bytes of memory of this machine; none where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_memory(count: int, channels: int, size: int) -> None:
    """Refuse what would not comfortably fit.

    Raises:
        DataError: ``count`` images take more than half of the machine's memory.
    """
    needed, present = count * channels * size * size, machine_memory()
    if present is not None and needed > present / 2:
        raise DataError(
            f"{count} images of {channels}x{size}x{size} take more than half of the memory",
            found=f"{needed / 2**30:.2f} GiB of {present / 2**30:.2f} GiB",
            fix="set data.memory=false to read them at every use, data.image_size= to fewer pixels "
            "or data.limit= to fewer images",
        )


def first_image(listing: Listing, index: int) -> tuple[int, int]:
    """``(channels, side)`` of one image; the side is its shorter one, in pixels."""
    with quiet():
        image = _load(listing, index)
    return (1 if image.mode in _GRAY else 3), min(image.size)


def decode(
    listing: Listing,
    indices: Tensor,
    size: int,
    channels: int | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Decode the images at ``indices``, in that order.

    An image of another size is scaled (shorter side, bicubic) and cropped in the centre.

    Args:
        listing: The images.
        indices: int64 ``[n]``.
        size: Side in pixels.
        channels: 1 or 3; none: 1 if every image is grayscale, else 3.
        progress: Called now and then with images done and images in all.

    Returns:
        uint8 ``[n, C, size, size]``.

    Raises:
        DataError: Images cannot be read, all of which it tells; or the memory does not suffice.
    """
    with quiet():
        return torch.from_numpy(_decode_all(listing, indices, size, channels, progress))


def _decode_all(
    listing: Listing,
    indices: Tensor,
    size: int,
    channels: int | None,
    progress: Progress | None,
) -> NDArray[np.uint8]:
    total = len(indices)
    pixels: NDArray[np.uint8] = np.empty((total, channels or 1, size, size), dtype=np.uint8)
    unreadable = Problems()
    for done, index in enumerate(indices.tolist()):
        try:
            image = _crop_square(_load(listing, index), size)
        except DataError as error:
            unreadable.add(error)
            continue
        if channels is None and image.mode == "RGB" and pixels.shape[1] == 1:
            check_memory(total, 3, size)
            # All images so far were gray: they become RGB with three equal channels.
            pixels = _widen(pixels, done)
        wanted = "L" if pixels.shape[1] == 1 else "RGB"
        values = np.asarray(image if image.mode == wanted else image.convert(wanted))
        pixels[done] = values if wanted == "L" else values.transpose(2, 0, 1)
        if progress and (done + 1) % _REPORT_EVERY == 0 and done + 1 < total:
            progress(done + 1, total)
    unreadable.check()
    if progress:
        progress(total, total)
    return pixels


def check_readable(listing: Listing, indices: Tensor) -> None:
    """Read the images at ``indices`` in full.

    Raises:
        DataError: Some cannot be read; it tells how many, and the first of them.
    """
    decode(listing, indices, 1, 3)


def open_all(listing: Listing, indices: Tensor) -> None:
    """Open the images at ``indices`` as far as their headers, which takes little time.

    Raises:
        DataError: Some are missing, no images or of more than 8 bits, all of which it tells.
    """
    unreadable = Problems()
    with quiet():
        for index in indices.tolist():
            try:
                _load(listing, index, whole=False)
            except DataError as error:
                unreadable.add(error)
    unreadable.check()


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings of what is read all the same, such as a very large image.

    Warnings belong to the whole process, so threads share one that is entered around them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
        yield


def _load(listing: Listing, index: int, whole: bool = True) -> Image.Image:
    """Image ``index``: gray in its own mode, else RGB. Unless ``whole``, it is only opened."""
    with _naming(listing, index):
        return _decoded(_opened(_read(listing, index)), whole)


def examine(listing: Listing, index: int) -> Seen:
    """Read one image to its end, and say what it is. Enter :func:`quiet` around it.

    Raises:
        DataError: It cannot be read, or has more than 8 bits per channel.
    """
    with _naming(listing, index):
        stored = _read(listing, index)
        image = _opened(stored)
        kind, mode, size = image.format or "picture", image.mode, image.size
        if image.format == "JPEG":
            # Every byte is read all the same, and an eighth of the side is computed.
            image.draft(mode, (1, 1))
        exif = image.getexif() if image.format else {}
        _decoded(image, whole=True)
    content = stored if isinstance(stored, bytes) else stored.tobytes()
    alpha = mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return Seen(
        format=kind,
        mode=mode,
        size=size,
        transparent=alpha,
        rotated=exif.get(_ORIENTATION, 1) not in (None, 0, 1),
        digest=hashlib.blake2b(content, digest_size=16).hexdigest(),
    )


def _read(listing: Listing, index: int) -> bytes | Image.Image:
    stored = listing.read(index)
    if stored == b"":
        raise OSError("an empty file")
    return stored


def _opened(stored: bytes | Image.Image) -> Image.Image:
    return open_image(stored) if isinstance(stored, bytes) else stored


def _decoded(image: Image.Image, whole: bool) -> Image.Image:
    if image.mode.split(";")[0] in _DEEP:
        raise _DeepError(image.mode)
    if whole:
        image.load()
        if image.mode not in (*_GRAY, "RGB"):
            return image.convert("RGB")
    return image


class _DeepError(Exception):
    """An image has more bits than an array of bytes can take."""


@contextmanager
def _naming(listing: Listing, index: int) -> Iterator[None]:
    """Turn whatever is raised inside into a line with the name of the image.

    PIL's decoders raise many types on damaged files (OSError, SyntaxError, struct.error,
    DecompressionBombError, ...); whichever it is, what the user needs is the name of the file.
    """
    try:
        yield
    except _DeepError as error:
        raise DataError(
            f"the image {listing.name(index)} has more than 8 bits per channel",
            found=f"PIL mode {error}",
            fix="convert it to 8 bits",
        ) from None
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        raise DataError(
            f"the image {listing.name(index)} cannot be read",
            found=f"none of {', '.join(FORMATS)}" if unknown else _reason(error),
            fix="replace or remove the file",
        ) from error


def _reason(error: Exception) -> str:
    system = isinstance(error, OSError) and error.strerror  # without the path, which was named
    return show_name(system or str(error) or type(error).__name__)


def read_image(listing: Listing, index: int, channels: int) -> Image.Image:
    """One image at its own size, of 1 or 3 channels.

    Raises:
        DataError: It cannot be read.
    """
    with quiet():
        return _load(listing, index).convert("L" if channels == 1 else "RGB")


def _crop_square(image: Image.Image, size: int) -> Image.Image:
    if image.mode == "1":
        image = image.convert("L")
    if image.size == (size, size):
        return image
    return _fit(image, size)


def _fit(image: Image.Image, size: int) -> Image.Image:
    """The middle of an image whose shorter side is scaled to ``size``.

    As torchvision's ``Resize`` and ``CenterCrop`` have it, so that the transform that timm makes
    for an exported network gives the very pixels it was evaluated with.
    """
    short = min(image.size)
    if max(image.size) > LONGEST * short:  # scaled, it could be larger than the memory
        width, height = (min(side, LONGEST * short) for side in image.size)
        image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    width, height = (int(size * side / short) for side in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    scaled = image.resize((width, height), Image.Resampling.BICUBIC)
    return scaled.crop((left, top, left + size, top + size))


def _widen(gray: NDArray[np.uint8], filled: int) -> NDArray[np.uint8]:
    total, _, height, width = gray.shape
    wide: NDArray[np.uint8] = np.empty((total, 3, height, width), dtype=np.uint8)
    wide[:filled] = gray[:filled]
    return wide
