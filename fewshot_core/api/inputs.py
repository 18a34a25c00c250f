"""What the networks of a run take: from pictures of any size to a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    Picture = str | Path | Image | NDArray[Any]


@dataclass(frozen=True)
class Inputs:
    """The images that a run is about, without the images themselves.

    Attributes:
        channels: 1 (grey) or 3 (red, green, blue).
        size: Side in pixels.
        classes: Names, in the order of the outputs of a network.
        mean: The mean of each channel, in units where white is 1.
        std: The standard deviation of each channel, in the same units.
    """

    channels: int
    size: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def prepare(self, pictures: Sequence[Picture]) -> Tensor:
        """Pictures as the networks see them: as they were validated and tested.

        The shorter side is scaled to :attr:`size` (bicubic), the middle is cut out, and channels
        are normalised.

        Args:
            pictures: File names, PIL images, or arrays uint8 ``[height, width]`` or
                ``[height, width, 3]``; n of them.

        Returns:
            float32 ``[n, channels, size, size]``.

        Raises:
            DataError: Some cannot be read, all of which it tells.
        """
        import torch

        from fewshot_core.data.decode import Listing, decode
        from fewshot_core.data.stream import normalise

        names = [
            str(one) if isinstance(one, str | Path) else f"number {index}"
            for index, one in enumerate(pictures)
        ]
        listing = Listing(
            where="the pictures",
            classes=self.classes,
            labels=torch.zeros(len(names), dtype=torch.int64),
            read=lambda index: _read(pictures[index], names[index]),
            key=names.__getitem__,
            name=names.__getitem__,
        )
        pixels = decode(listing, torch.arange(len(names)), self.size, self.channels)
        return normalise(pixels, self.mean, self.std)


def _read(picture: Any, name: str) -> bytes | Image:
    from PIL import Image

    if isinstance(picture, str | Path):
        return Path(picture).read_bytes()
    if isinstance(picture, Image.Image):
        return picture
    try:
        return Image.fromarray(picture)
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"picture {name} is no picture",
            found=getattr(picture, "dtype", None) or type(picture).__name__,
            allowed="a file, a PIL image, an array uint8 [height, width] or [height, width, 3]",
        ) from error
