"""Images in memory, and how they are divided."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fewshot_core.data.problems import Problems
from fewshot_core.data.rule import show_name
from fewshot_core.errors import DataError
from fewshot_core.seeds import derive_seed

_CHUNK = 1024  # images whose statistics are counted at once; bounds the memory used


@dataclass(frozen=True)
class ImageShape:
    """What a network has to know of its data."""

    channels: int
    image_size: int  # pixels, square
    classes: int

    @property
    def input_size(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (self.channels, self.image_size, self.image_size)


class Images(ABC):
    """Labelled images of one size, in memory or not.

    Attributes:
        labels: int64 ``[N]``, indices into ``classes``.
        classes: Class names.
    """

    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    @abstractmethod
    def input_size(self) -> tuple[int, int, int]:
        """Channels, height and width."""

    @abstractmethod
    def pixels(self, index: Tensor) -> Tensor:
        """The images at ``index``: uint8 ``[n, C, H, W]``."""

    @abstractmethod
    def picture(self, index: int) -> Image.Image:
        """One image as it is stored, for random crops."""

    @abstractmethod
    def subset(self, indices: Tensor | Sequence[int]) -> Self:
        """The images at ``indices``, in that order."""

    @abstractmethod
    def resize(self, size: int) -> Images:
        """The same with ``size`` x ``size`` pixels."""

    @abstractmethod
    def concat(self, other: Images) -> Images:
        """These images followed by those of ``other``.

        Raises:
            DataError: They do not go together.
        """


@dataclass(frozen=True, eq=False)
class ImageArray(Images):
    """Decoded images with their labels.

    Args:
        images: uint8 ``[N, C, H, W]``.
        labels: int64 ``[N]``, indices into ``classes``.
        classes: Class names.

    Raises:
        DataError: Types or shapes do not fit together.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            found = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise DataError("images must be uint8 [N, C, H, W]", found=found)
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            found = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise DataError(f"labels must be int64 [{len(self.images)}]", found=found)

    @property
    def input_size(self) -> tuple[int, int, int]:
        _, channels, height, width = self.images.shape
        return channels, height, width

    def pixels(self, index: Tensor) -> Tensor:
        return self.images.index_select(0, index)

    def picture(self, index: int) -> Image.Image:
        return as_picture(self.images[index])

    def subset(self, indices: Tensor | Sequence[int]) -> ImageArray:
        """A copy of the images at ``indices``, in that order."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return ImageArray(self.images[index], self.labels[index], self.classes)

    def resize(self, size: int) -> ImageArray:
        """A copy with ``size`` x ``size`` pixels, each the mean of those it covers."""
        if tuple(self.images.shape[2:]) == (size, size):
            return self
        pieces = [
            functional.interpolate(chunk.float(), (size, size), mode="area").round_().byte()
            for chunk in self.images.split(_CHUNK)
        ]
        return ImageArray(torch.cat(pieces), self.labels, self.classes)

    def concat(self, other: Images) -> ImageArray:
        """These images followed by those of ``other``, as a copy.

        Raises:
            DataError: The classes, channels or sizes differ, or the others are not in memory.
        """
        if not isinstance(other, ImageArray):
            raise DataError("images in memory cannot be joined with others")
        if self.classes != other.classes or self.images.shape[1:] != other.images.shape[1:]:
            raise DataError(
                "images of different classes or shapes cannot be joined",
                found=f"{tuple(self.images.shape[1:])} and {tuple(other.images.shape[1:])}, "
                f"{len(self.classes)} and {len(other.classes)} classes",
            )
        images = torch.cat([self.images, other.images])
        return ImageArray(images, torch.cat([self.labels, other.labels]), self.classes)


def as_picture(pixels: Tensor) -> Image.Image:
    """uint8 ``[C, H, W]``, C 1 or 3, as an image."""
    values = pixels.numpy()
    return Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))


def class_balanced_split(
    labels: Tensor, share: float, seed: int, classes: Sequence[str] = (), keep: int = 1
) -> tuple[Tensor, Tensor]:
    """Hold out the same share of every class.

    Args:
        labels: int64 ``[N]``.
        share: Share that is held out, between 0 and 1, both excluded. A class keeps at least
            ``keep`` images and gives up at least one, whatever the share.
        seed: Decides which images; the same seed always chooses the same ones.
        classes: Names for error messages.
        keep: Images that a class keeps at least.

    Returns:
        Ascending int64 indices ``(kept, held_out)``; together every index once.

    Raises:
        DataError: The share is out of range, or a class has fewer than ``keep + 1`` images.
    """
    if not 0 < share < 1:
        raise DataError(
            "the share to hold out is out of range", found=share, allowed="between 0 and 1"
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, "split"))
    held = torch.zeros(len(labels), dtype=torch.bool)
    members_of = _members(labels)
    small = [(label, len(members)) for label, members in members_of if len(members) <= keep]
    Problems(_too_few(classes, label, count, keep) for label, count in small).check()
    for _, members in members_of:
        count = min(max(round(len(members) * share), 1), len(members) - keep)
        held[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def _too_few(classes: Sequence[str], label: int, count: int, keep: int) -> DataError:
    name = f"'{show_name(classes[label])}'" if classes else label
    return DataError(
        f"class {name} has too few images to hold some out",
        found=count,
        allowed=f"{keep + 1} or more",
        fix="add images of that class, or leave the class out",
    )


def class_balanced_subset(labels: Tensor, count: int, seed: int, minimum: int = 1) -> Tensor:
    """Choose ``count`` images so that every class keeps its share.

    Args:
        labels: int64 ``[N]``.
        count: Images to choose; all of them when there are not more.
        seed: Decides which images.
        minimum: Images that every class gets at least, as far as it has them.

    Returns:
        Ascending int64 indices. When ``count`` cannot give every class its minimum, they are
        drawn without regard to class.
    """
    if count >= len(labels):
        return torch.arange(len(labels))
    generator = torch.Generator().manual_seed(derive_seed(seed, "subset"))
    groups = [members for _, members in _members(labels)]
    quotas = _quotas([len(members) for members in groups], count, minimum)
    if quotas is None:
        return torch.randperm(len(labels), generator=generator)[:count].sort().values
    chosen = [
        members[torch.randperm(len(members), generator=generator)[:quota]]
        for members, quota in zip(groups, quotas, strict=True)
    ]
    return torch.cat(chosen).sort().values


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel, in units where white is 1.

    Exact: pixel values are counted, 256 counts for each channel.

    Args:
        images: uint8 ``[N, C, H, W]``, not empty.

    Returns:
        ``(mean, std)``, each of length C. A constant channel has a deviation of 0.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.int64)
        for chunk in images[:, channel].split(_CHUNK):
            counts += torch.bincount(chunk.flatten(), minlength=256)
        weights = counts / counts.sum(dtype=torch.float64)
        mean = (weights * levels).sum()
        means.append(mean.item())
        deviations.append((weights * (levels - mean) ** 2).sum().sqrt().item())
    return tuple(means), tuple(deviations)


def _members(labels: Tensor) -> list[tuple[int, Tensor]]:
    """Each label that occurs, ascending, with the indices of its images."""
    return [
        (int(label), (labels == label).nonzero().flatten()) for label in labels.unique(sorted=True)
    ]


def _quotas(sizes: list[int], count: int, minimum: int) -> list[int] | None:
    """``count`` divided in proportion to ``sizes`` by largest remainder; none if too small.

    What a small class lacks for its minimum comes from those that are furthest above theirs.
    """
    least = [min(size, minimum) for size in sizes]
    if count < sum(least):
        return None
    total, every = sum(sizes), range(len(sizes))
    quotas = [count * size // total for size in sizes]
    by_remainder = sorted(every, key=lambda i: -(count * sizes[i] % total))
    for i in by_remainder[: count - sum(quotas)]:
        quotas[i] += 1
    for i in every:
        while quotas[i] < least[i]:
            quotas[max(every, key=lambda j: quotas[j] - least[j])] -= 1
            quotas[i] += 1
    return quotas
