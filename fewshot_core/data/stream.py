"""Batches as a pure function of seed and step.

A training that stops can go on from its step number alone: no state of a loader or a random
number generator has to be saved, and any number of processes sees the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import overload

import torch
from torch import Tensor
from torch.nn import functional

from fewshot_core.data.augment import Augment
from fewshot_core.data.images import ImageArray, Images, class_balanced_subset
from fewshot_core.errors import DataError, RecipeError
from fewshot_core.seeds import derive_seed

Batch = tuple[Tensor, Tensor]

SHARE_OF_DEVICE = 0.25
"""Of a device's free memory, that the pixels of a data set may take."""


class BatchStream:
    """Endless training batches.

    Every epoch is a new permutation of the images, and batches run on across its end: each is
    full, even where the array is smaller than a batch.

    Args:
        array: The images.
        batch_size: Images per step over all processes.
        seed: Decides order and augmentation.
        mean: Per channel, in units where white is 1.
        std: The same for the standard deviation.
        flip: Mirror half of the images.
        pad: Shift by up to this many pixels in each direction; black moves in.
        cutout: Side in pixels of a square that is blackened; its centre lies in the image, so
            part of the square may not. 0: none.
        augment: What is done to each image by itself; none: nothing.
        rank: This process.
        world: Number of processes; each gets its contiguous slice of the batch of all.
        device: Where batches are made, if they are not changed image by image: of images in memory
            the pixels are kept there.

    Raises:
        DataError: There are no images.
        RecipeError: A number is out of range, or ``batch_size`` cannot be divided by ``world``.
    """

    def __init__(
        self,
        array: Images,
        *,
        batch_size: int,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        flip: bool = False,
        pad: int = 0,
        cutout: int = 0,
        augment: Augment | None = None,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if len(array) == 0:
            raise DataError("there are no images to train on")
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("data.pad", pad, 0),
            ("data.cutout", cutout, 0),
        ):
            if value < least:
                raise RecipeError(f"{name} is out of range", found=value, allowed=f"{least}, ...")
        if batch_size % world:
            raise RecipeError(
                f"batch_size cannot be divided among {world} processes",
                found=batch_size,
                allowed=f"a multiple of {world}",
            )
        self.array = array
        self.batch_size = batch_size
        self.seed = seed
        self.flip, self.pad, self.cutout = flip, pad, cutout
        self.augment = augment or Augment()
        self._share = batch_size // world
        self._first = rank * self._share
        single = self.augment != Augment()  # Pillow's and timm's work, image by image
        self._device = torch.device("cpu" if single else device)
        self._pixels = _pixels_on(self._device, array)
        self._scale, self._offset = (x.to(self._device) for x in _normalisation(mean, std))
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    @property
    def batch_bytes(self) -> int:
        """Of this process's part of a batch."""
        return self._share * (4 * math.prod(self.array.input_size) + 8)

    def batch(self, step: int) -> Batch:
        """This process's part of batch ``step``, counted from 0.

        Returns:
            float32 ``[b, C, H, W]``, augmented and normalised, and int64 ``[b]``, with b =
            ``batch_size / world``.
        """
        return self._make(step)

    def example(self) -> Batch:
        """The first batch, to try a training with before it begins."""
        return self._make(0)

    def _make(self, step: int) -> Batch:
        index = self.indices(step)
        labels = move_to_device(self.array.labels[index], self._device)
        if self.augment == Augment():
            images = self._augment(self._read(index), step)
            return _normalise(images, self._scale, self._offset), labels
        places = range(self._first, self._first + self._share)
        seeds: list[int] = []
        if self.augment.draws:
            seeds = [derive_seed(self.seed, "image", step, place) for place in places]
        if self.augment.crops:
            images = self.augment.crop(self.array, index, seeds)
        else:
            images = self.array.pixels(index)
        images = self._augment(images, step)
        images = self.augment.distort(images, seeds)
        normalised = _normalise(images, self._scale, self._offset)
        return self.augment.erase_rectangles(normalised, seeds), labels

    def _read(self, index: Tensor) -> Tensor:
        if self._pixels is None:
            return move_to_device(self.array.pixels(index), self._device)
        return self._pixels.index_select(0, move_to_device(index, self._device))

    def indices(self, step: int) -> Tensor:
        """Which images batch ``step`` of this process shows: int64 ``[b]``."""
        position = step * self.batch_size + self._first
        missing = self._share
        pieces = []
        while missing:
            epoch, start = divmod(position, len(self.array))
            piece = self._permutation(epoch)[start : start + missing]
            pieces.append(piece)
            position, missing = position + len(piece), missing - len(piece)
        return torch.cat(pieces)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            self._order = torch.randperm(len(self.array), generator=generator)
            self._epoch = epoch
        return self._order

    def _augment(self, images: Tensor, step: int) -> Tensor:
        """uint8 in, uint8 out. Draws for the whole batch, so that ranks agree with one process."""
        if not (self.flip or self.pad or self.cutout):
            return images
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", step))
        part = slice(self._first, self._first + self._share)

        def draw(end: int) -> Tensor:
            drawn = torch.randint(end, (self.batch_size,), generator=generator)[part]
            return move_to_device(drawn, images.device)

        height, width = images.shape[2:]
        shift = 2 * self.pad + 1
        down, right, mirror = draw(shift), draw(shift), draw(2).bool() & self.flip
        if self.flip or self.pad:
            images = _shift(images, self.pad, down, right, mirror)
        if self.cutout:
            _blacken(images, self.cutout, draw(height), draw(width))
        return images


class EvalBatches(Sequence[Batch]):
    """Every image once, in order and unaugmented; a batch is read anew each time it is asked for.

    Batches are float32 ``[b, C, H, W]``, normalised, and int64 ``[b]``; the last may be smaller.

    Args:
        array: The images.
        batch_size: Images per batch.
        mean: Per channel, in units where white is 1.
        std: The same for the standard deviation.
        limit: At most this many images, evenly spaced over the array: folders are read class by
            class, and the first images would all be of one class.
        device: Where to put them.
    """

    def __init__(
        self,
        array: Images,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        limit: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        count = len(array) if limit is None else min(limit, len(array))
        index = torch.arange(count) * len(array) // max(count, 1)
        self._array, self._mean, self._std, self._device = array, mean, std, device
        self._pieces = index.split(batch_size) if count else ()

    def __len__(self) -> int:
        return len(self._pieces)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | Sequence[Batch]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        [(x, y)] = _batches(self._array, [self._pieces[index]], self._mean, self._std)
        return x.to(self._device), y.to(self._device)


def calibration_batches(
    array: Images,
    count: int,
    batch_size: int,
    seed: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Iterator[Batch]:
    """Unaugmented images to set batch-norm statistics with: the same ones for one seed.

    They are balanced over the classes (at random when ``count`` is smaller than the number of
    classes) and mixed. Batches differ by one image at most: a last batch of one image would
    give no variance.

    Args:
        array: The training images.
        count: Images in all; every image where there are not more.
        batch_size: Images per batch, at most.
        seed: Decides which images.
        mean: Per channel, in units where white is 1.
        std: The same for the standard deviation.

    Yields:
        float32 ``[b, C, H, W]``, normalised, and int64 ``[b]``.
    """
    chosen = class_balanced_subset(array.labels, count, derive_seed(seed, "calibration"))
    generator = torch.Generator().manual_seed(derive_seed(seed, "calibration order"))
    chosen = chosen[torch.randperm(len(chosen), generator=generator)]
    pieces = max(-(-len(chosen) // batch_size), 1)
    yield from _batches(array, chosen.tensor_split(pieces), mean, std)


def _batches(
    array: Images, pieces: Sequence[Tensor], mean: Sequence[float], std: Sequence[float]
) -> Iterator[Batch]:
    scale, offset = _normalisation(mean, std)
    for index in pieces:
        if len(index):
            images = array.pixels(index)
            yield _normalise(images, scale, offset), array.labels[index]


def move_to_device(values: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, without waiting for what the device is doing."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def _pixels_on(device: torch.device, array: Images) -> Tensor | None:
    """All pixels on the device, if they are in memory and the device has room to spare."""
    if device.type != "cuda" or not isinstance(array, ImageArray):
        return array.images if isinstance(array, ImageArray) else None
    free, _ = torch.cuda.mem_get_info(device)
    return array.images.to(device) if array.images.numel() < SHARE_OF_DEVICE * free else None


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images as networks see them.

    Args:
        images: uint8 ``[n, C, H, W]``.
        mean: The mean of each channel, in units where white is 1.
        std: The standard deviation of each channel, in the same units.

    Returns:
        float32 ``[n, C, H, W]``.
    """
    return _normalise(images, *_normalisation(mean, std))


def _normalisation(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Factor and summand, ``[C, 1, 1]``, that take 0..255 to mean 0 and deviation 1."""
    means = torch.tensor(mean, dtype=torch.float64)
    # A channel of one single value has no deviation; a whole level keeps it finite.
    deviations = torch.tensor(std, dtype=torch.float64).clamp(min=1 / 255)
    scale, offset = 1 / (255 * deviations), -means / deviations
    return scale.float()[:, None, None], offset.float()[:, None, None]


def _normalise(images: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    return images.float().mul_(scale).add_(offset)


def _shift(images: Tensor, pad: int, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
    """Per image, the window of its size at (``down``, ``right``) of its padded self, mirrored.

    One gather over flattened pixels: four times faster than indexing rows and columns.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (pad, pad, pad, pad))
    device = images.device
    rows = down[:, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, width)
    columns = torch.where(mirror[:, None], columns.flip(1), columns) + right[:, None]
    pixel = rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]
    pixel = pixel.view(count, 1, height * width).expand(count, channels, height * width)
    return padded.view(count, channels, -1).gather(2, pixel).view_as(images)


def _blacken(images: Tensor, side: int, row: Tensor, column: Tensor) -> None:
    """Zero, in place, the square of ``side`` pixels around each image's (``row``, ``column``)."""
    height, width = images.shape[2:]
    top, left = (row - side // 2)[:, None], (column - side // 2)[:, None]
    rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    images.masked_fill_(hole, 0)
