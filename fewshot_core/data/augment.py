"""What is done to training images one by one, by timm's own transforms, seeded by the image.

timm's transforms draw from the global generators of ``random``, numpy and torch. Each image gets a
seed of its own, so that batches stay a pure function of seed and step on any number of processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import auto_augment_transform, rand_augment_transform
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torchvision.transforms import ColorJitter

from fewshot_core.data.images import Images, as_picture
from fewshot_core.errors import RecipeError


@dataclass(frozen=True)
class Augment:
    """Transforms of single images; with the defaults none.

    Attributes:
        scale: Random crops show at least this share of an image; 1: no crops.
        jitter: Strength of random brightness, contrast and saturation.
        policy: timm's name of a policy, such as ``rand-m9-mstd0.5``; None: none.
        erase: Share of the images of which a rectangle is erased.

    Raises:
        RecipeError: timm knows no such policy.
    """

    scale: float = 1.0
    jitter: float = 0.0
    policy: str | None = None
    erase: float = 0.0

    def __post_init__(self) -> None:
        if self.policy is not None:
            self._distort  # noqa: B018  (it raises for a policy that timm does not know)

    @property
    def crops(self) -> bool:
        """Whether images are cropped at random."""
        return self.scale < 1

    @property
    def draws(self) -> bool:
        """Whether anything is done to single images, which then need seeds of their own."""
        return bool(self.crops or self.jitter or self.policy is not None or self.erase)

    def crop(self, images: Images, index: Tensor, seeds: Sequence[int]) -> Tensor:
        """Random crops, scaled to the images' size: uint8 ``[n, C, H, W]``."""
        _, height, width = images.input_size
        crop = RandomResizedCropAndInterpolation(
            (height, width), scale=(self.scale, 1.0), interpolation="bicubic"
        )
        parts = []
        for place, seed in zip(index.tolist(), seeds, strict=True):
            picture = images.picture(place)
            with seeded(seed, "crop"):
                parts.append(_as_pixels(crop(picture)))
        return torch.stack(parts)

    def distort(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """Colours and shapes of uint8 ``[n, C, H, W]``, in place."""
        if self.policy is None and not self.jitter:
            return images
        for image, seed in zip(images, seeds, strict=True):
            with seeded(seed, "distort"):
                picture = as_picture(image).convert("RGB")  # timm's policies take nothing else
                for transform in self._distort:
                    picture = transform(picture)
            image.copy_(_as_pixels(picture.convert("RGB" if len(image) == 3 else "L")))
        return images

    def erase_rectangles(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        """Rectangles of normalised ``[n, C, H, W]`` become noise, in place (Zhong et al., 2020)."""
        if not self.erase:
            return images
        eraser = RandomErasing(probability=self.erase, mode="pixel", device="cpu")
        for image, seed in zip(images, seeds, strict=True):
            with seeded(seed, "erase"):
                eraser(image)
        return images

    @cached_property
    def _distort(self) -> list[Any]:
        transforms: list[Any] = []
        if self.policy is not None:
            try:
                make = (
                    rand_augment_transform
                    if self.policy.startswith("rand")
                    else auto_augment_transform
                )
                transforms.append(make(self.policy, {}))
            except (AssertionError, KeyError, ValueError, AttributeError, TypeError) as error:
                raise RecipeError(
                    f"augment={self.policy} is no policy of timm",
                    found=str(error) or type(error).__name__,
                    allowed="such as rand-m9-mstd0.5, original, v0",
                ) from None
        elif self.jitter:
            transforms.append(ColorJitter(self.jitter, self.jitter, self.jitter))
        return transforms


def _as_pixels(picture: Image.Image) -> Tensor:
    values = torch.from_numpy(np.array(picture))
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1).contiguous()


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """Global generators seeded inside, and as before outside."""
    number = random.Random(f"{seed} {name}").getrandbits(32)
    before, numpys = random.getstate(), np.random.get_state()
    try:
        random.seed(number)
        np.random.seed(number)
        with torch.random.fork_rng(devices=[]):
            # What is drawn here is drawn on the CPU, where these are the numbers that
            # torch.manual_seed gives. That one would seed every device too, for each image.
            torch.default_generator.manual_seed(number)
            yield
    finally:
        random.setstate(before)
        np.random.set_state(numpys)
