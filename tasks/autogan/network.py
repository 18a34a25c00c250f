"""Generators of AutoGAN's space, given by the integers of their cells. Needs nothing but torch.

This file travels with every exported generator; :func:`load` reads the folder that it lies in.

The skeleton is that of AutoGAN (Gong et al., ICCV 2019, section 3.1): one linear layer makes a
small image of C channels of the noise, every cell doubles its side, and batch norm, ReLU and a 3x3
convolution with tanh make pixels of it. A cell has two convolutions; the integers of a cell are

1. block: 0 convolution, normalisation, ReLU (post); 1 normalisation, ReLU, convolution (pre)
2. normalisation: 0 none, 1 batch, 2 instance
3. upsampling: 0 bilinear, 1 nearest, 2 transposed convolution
4. shortcut from the cell's input to its output: 0 no, 1 yes
5. earlier cells it reads, as bits, the lowest for the cell just before; not in the first cell

What an earlier cell hands over is the output of its first block. It is taken before other cells'
is added there, as the paper's figure has it; the authors' program takes it afterwards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if __name__ == "<run_path>":  # runpy leaves no module behind, and pickled generators name theirs
    __name__ = Path(__file__).stem
    sys.modules.setdefault(__name__, sys.modules["<run_path>"])

POST, PRE = 0, 1
BATCH, INSTANCE = 1, 2
BILINEAR, NEAREST, DECONV = 0, 1, 2
BLOCK_NAMES = ("post", "pre")
FIRST_CELL, LATER_CELL = 4, 5  # integers of a cell


def split_vector(vector: Sequence[int]) -> list[tuple[int, ...]]:
    """The integers of each cell.

    Raises:
        ValueError: There are not as many as some cells have.
    """
    cells = 1 + (len(vector) - FIRST_CELL) // LATER_CELL
    if len(vector) != FIRST_CELL + LATER_CELL * (cells - 1) or cells < 1:
        raise ValueError(f"{len(vector)} integers are no generator: 4, 9 or 14 are")
    ends = [FIRST_CELL + LATER_CELL * cell for cell in range(cells)]
    return [tuple(vector[a:b]) for a, b in zip([0, *ends], ends, strict=False)]


def sources_of(place: int, cell: Sequence[int]) -> list[int]:
    """Places of the earlier cells that the cell at ``place`` (from 0) reads."""
    bits = cell[4] if len(cell) > FIRST_CELL else 0
    return [source for source in range(place) if bits >> (place - 1 - source) & 1]


def upsample(x: Tensor, kind: int, deconvs: Iterable[nn.Module], factor: int = 2) -> Tensor:
    """``[B, C, H, W]`` to ``[B, C, factor H, factor W]``."""
    if kind == DECONV:
        for deconv in deconvs:
            x = deconv(x)
        return x
    if kind == NEAREST:
        return F.interpolate(x, scale_factor=factor, mode="nearest")
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def deconvs_for(channels: int, factor: int) -> nn.ModuleList:
    """Transposed convolutions in a row, each doubling the side."""
    return nn.ModuleList(
        nn.ConvTranspose2d(channels, channels, 2, stride=2) for _ in range(factor.bit_length() - 1)
    )


class Block(nn.Module):
    """A 3x3 convolution with its normalisation; the first of a cell upsamples before it."""

    def __init__(self, channels: int, norm: bool, deconv: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        if norm:
            self.norm = nn.BatchNorm2d(channels)
        if deconv:
            self.up = deconvs_for(channels, 2)

    def forward(self, x: Tensor, block: int, norm: int, up: int | None) -> Tensor:
        if block == PRE:
            return self.conv(self._upsample(F.relu(self._normalise(x, norm)), up))
        return F.relu(self._normalise(self.conv(self._upsample(x, up)), norm))

    def _upsample(self, x: Tensor, up: int | None) -> Tensor:
        if up is None:
            return x
        return upsample(x, up, self.up if up == DECONV else ())

    def _normalise(self, x: Tensor, norm: int) -> Tensor:
        if norm == BATCH:
            return self.norm(x)
        # A group for each channel is instance norm, and can be exported for any batch size.
        return F.group_norm(x, x.shape[1]) if norm == INSTANCE else x


class Resize(nn.Module):
    """To a larger size, then a 1x1 convolution: shortcuts, and what earlier cells hand over."""

    def __init__(self, channels: int, factor: int, deconv: bool) -> None:
        super().__init__()
        self.factor = factor
        if deconv:
            self.up = deconvs_for(channels, factor)
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, up: int) -> Tensor:
        return self.conv(upsample(x, up, self.up if up == DECONV else (), self.factor))


class Cell(nn.Module):
    """A cell that holds what each of ``choices`` needs; a standalone generator has one choice.

    Block types do not share their convolutions, whatever else two choices have in common they do.
    """

    def __init__(self, place: int, channels: int, choices: Iterable[Sequence[int]]) -> None:
        super().__init__()
        self.place = place
        choices = [tuple(choice) for choice in choices]
        self.first, self.second = nn.ModuleDict(), nn.ModuleDict()
        for block in sorted({choice[0] for choice in choices}):
            mine = [choice for choice in choices if choice[0] == block]
            norm = any(choice[1] == BATCH for choice in mine)
            deconv = any(choice[2] == DECONV for choice in mine)
            self.first[BLOCK_NAMES[block]] = Block(channels, norm, deconv)
            self.second[BLOCK_NAMES[block]] = Block(channels, norm, False)
        added = [choice for choice in choices if choice[3]]
        if added:
            deconv = any(choice[2] == DECONV for choice in added)
            self.shortcut = Resize(channels, 2, deconv)
        self.skips = nn.ModuleDict()
        for source in range(place):
            readers = [choice for choice in choices if source in sources_of(place, choice)]
            if readers:
                deconv = any(choice[2] == DECONV for choice in readers)
                # The output of a first block has its cell's output size.
                factor = 2 ** (place - source)
                self.skips[str(source)] = Resize(channels, factor, deconv)

    def forward(
        self, x: Tensor, earlier: Sequence[Tensor], choice: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` to twice the side; what the cell hands over, and its output."""
        block, norm, up, shortcut = choice[:FIRST_CELL]
        name = BLOCK_NAMES[block]
        handed = h = self.first[name](x, block, norm, up)
        for source in sources_of(self.place, choice):
            # Not in place: that would change what later cells read, and break the backward pass.
            h = h + self.skips[str(source)](earlier[source], up)
        h = self.second[name](h, block, norm, None)
        if shortcut:
            h = h + self.shortcut(x, up)
        return handed, h


class GeneratorBody(nn.Module):
    """Everything of a generator, with cells that hold so many choices."""

    def __init__(
        self,
        choices: Sequence[Iterable[Sequence[int]]],
        *,
        channels: int = 256,
        latent: int = 128,
        image_size: int = 32,
        image_channels: int = 3,
    ) -> None:
        """Args:
        choices: For each cell, the integers that it may have.
        channels: Channels of every cell.
        latent: Numbers in a noise vector.
        image_size: Side of the images, divisible by two to the number of cells.
        image_channels: 1 or 3.
        """
        super().__init__()
        self.latent, self.channels = latent, channels
        self.bottom = image_size >> len(choices)
        if self.bottom < 1 or self.bottom << len(choices) != image_size:
            raise ValueError(f"{len(choices)} cells do not make images of {image_size} pixels")
        self.stem = nn.Linear(latent, channels * self.bottom**2)
        self.cells = nn.ModuleList(Cell(i, channels, some) for i, some in enumerate(choices))
        self.norm = nn.BatchNorm2d(channels)
        self.to_pixels = nn.Conv2d(channels, image_channels, 3, padding=1)
        self._initialise()

    def _initialise(self) -> None:
        """As the authors do: what is not named here keeps torch's own initialisation."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def run(self, z: Tensor, cells: Sequence[Sequence[int]]) -> Tensor:
        """Noise ``[B, latent]`` to images ``[B, image_channels, S, S]`` in [-1, 1]."""
        # Not len(z): an exported network would be bound to its value.
        x = self.stem(z).view(-1, self.channels, self.bottom, self.bottom)
        handed: list[Tensor] = []
        for cell, choice in zip(self.cells, cells, strict=True):
            given, x = cell(x, handed, choice)
            handed.append(given)
        return torch.tanh(self.to_pixels(F.relu(self.norm(x))))


class Generator(GeneratorBody):
    """The generator of these cells, given as the integers of each."""

    def __init__(self, cells: Sequence[Sequence[int]], **shape: int) -> None:
        """``shape``: as of :class:`GeneratorBody`."""
        self.choice = [tuple(cell) for cell in cells]
        super().__init__([[cell] for cell in self.choice], **shape)

    def forward(self, z: Tensor) -> Tensor:
        """Noise ``[B, latent]`` to images ``[B, image_channels, S, S]`` in [-1, 1]."""
        return self.run(z, self.choice)


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8: times 127.5, plus 127.5, cut off, as published scores have it."""
    return images.float().mul(127.5).add(127.5).clamp(0, 255).to(torch.uint8)


def load(folder: str | Path | None = None) -> Generator:
    """The generator of an exported folder, in ``eval()`` mode.

    Args:
        folder: By default the one this file lies in.
    """
    from safetensors.torch import load_file

    folder = Path(folder) if folder else Path(__file__).parent
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    generator = Generator(split_vector(config["vector"]), **config["generator"])
    generator.load_state_dict(load_file(folder / "generator.safetensors"))
    return generator.eval()
