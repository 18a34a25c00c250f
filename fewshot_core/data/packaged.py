"""Image sets that scikit-learn and torchvision bring along or download."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from timm.data import create_dataset
from torchvision.datasets import STL10

from fewshot_core.data.decode import Listing
from fewshot_core.data.tree import place_of
from fewshot_core.errors import DataError, nearest
from fewshot_core.recipe.schema import DataSettings

# For suggestions; timm decides which names there are.
KNOWN_TORCH = (
    "torch/cifar10",
    "torch/cifar100",
    "torch/mnist",
    "torch/kmnist",
    "torch/fashion_mnist",
    "torch/qmnist",
    "torch/stl10",
    "torch/imagenet",
    "torch/places365",
)


CANVAS, PIECE, PIECES = 12, 4, 2
"""Cluttered digits: side of an image, and side and number of the pieces of other digits in it."""


def list_digits() -> Listing:
    """scikit-learn's 1797 handwritten digits: 8x8, gray, its levels 0..16 stretched to 0..255."""
    digits = load_digits()
    return _list_pixels("digits", digits, _stretch(digits.images))


def list_cluttered_digits() -> Listing:
    """The same digits where a network must find them: 12x12, each at a random place among pieces.

    A smaller form of cluttered MNIST (Mnih et al., *Recurrent models of visual attention*, NeurIPS
    2014). Every digit makes one image; two pieces of 4x4 pixels come from any other digits. The
    images are always the same.
    """
    digits = load_digits()
    drawn = RandomState(0)  # whose numbers stay the same in every version of numpy
    images = np.zeros((len(digits.images), CANVAS, CANVAS))
    for image, digit in zip(images, digits.images, strict=True):
        for _ in range(PIECES):
            other = digits.images[drawn.randint(len(digits.images))]
            row, column = drawn.randint(digit.shape[0] - PIECE + 1, size=2)
            _paste(image, other[row : row + PIECE, column : column + PIECE], drawn)
        _paste(image, digit, drawn)
    return _list_pixels("cluttered_digits", digits, _stretch(images))


def _paste(image: NDArray[np.float64], part: NDArray[np.float64], drawn: RandomState) -> None:
    """Put a part at a random place of an image, over what is darker."""
    row, column = drawn.randint(CANVAS - len(part) + 1, size=2)
    place = image[row : row + len(part), column : column + len(part)]
    np.maximum(place, part, out=place)


def _stretch(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(levels * (255 / 16)).astype(np.uint8)


def _list_pixels(where: str, digits: Any, pixels: NDArray[np.uint8]) -> Listing:
    return Listing(
        where=where,
        classes=tuple(str(name) for name in digits.target_names),
        labels=torch.from_numpy(digits.target.astype(np.int64)),
        read=_Pixels(pixels).read,
        key=str,
        name=partial(_number_of, where),
    )


@dataclass(frozen=True)
class _Pixels:
    """Pictures in one array."""

    array: NDArray[np.uint8]

    def read(self, i: int) -> Image.Image:
        return Image.fromarray(self.array[i])


def default_folder() -> Path:
    """Where downloads are kept when ``data.root`` is not set."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fewshot-nas" / "data"


def list_torch(settings: DataSettings, train: bool) -> Listing:
    """One part of a torchvision data set, through timm's factory; downloaded if allowed.

    Args:
        settings: ``source`` is ``torch/NAME``; ``root`` is where the files are or will be kept.
        train: The training part, else the test part (timm's split ``validation``).

    Raises:
        DataError: The name is unknown, or the data set neither there nor to be had.
    """
    root = place_of(settings.root) if settings.root else default_folder()
    dataset = _torch_dataset(settings, root, "train" if train else "validation")
    # STL10 has labels where others have targets.
    labels = getattr(dataset, "targets", getattr(dataset, "labels", None))
    classes = getattr(dataset, "classes", None)
    if labels is None or classes is None:
        raise DataError(
            f"{settings.source} does not list its labels and classes",
            fix="use data.source=images with a folder of class folders",
        )
    targets = torch.as_tensor(labels, dtype=torch.int64)
    where = f"{settings.source} ({'train' if train else 'test'})"
    return Listing(
        where=where,
        classes=tuple(_class_name(name) for name in classes),
        labels=targets[:, 0] if targets.ndim == 2 else targets,  # QMNIST: the class comes first
        read=_Pictures(dataset).read,
        key=str,
        name=partial(_number_of, where),
    )


@dataclass(frozen=True)
class _Pictures:
    """Pictures of a torchvision data set."""

    dataset: Any

    def read(self, i: int) -> Image.Image:
        image: Image.Image = self.dataset[i][0]
        return image


def _number_of(where: str, i: int) -> str:
    return f"number {i} of {where}"


def _torch_dataset(settings: DataSettings, root: Path, split: str) -> Any:
    source = settings.source
    try:
        if settings.download:
            root.mkdir(parents=True, exist_ok=True)
        if source == "torch/stl10":  # which timm does not know
            return _stl10(settings, root, split)
        return create_dataset(source, root=str(root), split=split, download=settings.download)
    except AssertionError as error:  # how timm says that it does not know the name
        raise DataError(
            "data.source is unknown",
            found=source,
            allowed=", ".join(KNOWN_TORCH),
            fix=nearest(source, KNOWN_TORCH) or None,
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        fix = (
            "connect this machine to the network, or copy the files there"
            if settings.download
            else "set data.download=true, or copy the files there"
        )
        fix += f"; data.root= names another folder (now {root})"
        raise DataError(f"{source} is not in {root}", found=error, fix=fix) from error


def _stl10(settings: DataSettings, root: Path, split: str) -> Any:
    """96x96; for generators the 100,000 unlabelled images belong to the training part."""
    part = {"train": "train" if settings.labelled else "train+unlabeled", "validation": "test"}
    return STL10(str(root), split=part[split], download=settings.download)


def _class_name(name: Any) -> str:
    # torchvision's ImageNet gives every class a tuple of synonyms.
    return ", ".join(name) if isinstance(name, tuple) else str(name)
