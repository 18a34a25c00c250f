"""Images that are read at every use, because they do not fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from fewshot_core.data.decode import Listing, decode, read_image
from fewshot_core.data.images import Images
from fewshot_core.errors import DataError


@dataclass(frozen=True, eq=False)
class ImageFiles(Images):
    """Part of a listing.

    Args:
        listing: The images.
        indices: int64 ``[N]``, which of them.
        size: Side in pixels to which they are scaled and cropped.
        channels: 1 or 3.
    """

    listing: Listing
    indices: Tensor
    size: int
    channels: int

    @cached_property
    def labels(self) -> Tensor:  # type: ignore[override]
        return self.listing.labels[self.indices]

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.listing.classes

    @property
    def input_size(self) -> tuple[int, int, int]:
        return self.channels, self.size, self.size

    def pixels(self, index: Tensor) -> Tensor:
        return decode(self.listing, self.indices[index], self.size, self.channels)

    def picture(self, index: int) -> Image.Image:
        return read_image(self.listing, int(self.indices[index]), self.channels)

    def subset(self, indices: Tensor | Sequence[int]) -> ImageFiles:
        index = torch.as_tensor(indices, dtype=torch.int64)
        return ImageFiles(self.listing, self.indices[index], self.size, self.channels)

    def resize(self, size: int) -> ImageFiles:
        return ImageFiles(self.listing, self.indices, size, self.channels)

    def concat(self, other: Images) -> ImageFiles:
        if not isinstance(other, ImageFiles) or other.listing is not self.listing:
            raise DataError("images of different files cannot be joined")
        indices = torch.cat([self.indices, other.indices])
        return ImageFiles(self.listing, indices, self.size, self.channels)
