"""Stages of cells in one program: every part of a batch goes through its own cell.

See :mod:`fewshot_tasks.cifar10.kernels` for the layout of feature maps and for what runs on the
device.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fewshot_tasks.cifar10 import kernels

CODES = {
    "none": kernels.NONE.value,
    "skip_connect": kernels.SKIP.value,
    "nor_conv_1x1": kernels.CONV1.value,
    "nor_conv_3x3": kernels.CONV3.value,
    "avg_pool_3x3": kernels.POOL.value,
}
"""What the kernels call the operations."""

CONVOLUTIONS = ("nor_conv_1x1", "nor_conv_3x3")

CHUNKS = 64
"""Pieces of a part that are summed apart, at most."""

WEIGHT_CHUNKS = 16
"""The same where gradients of kernels are summed."""

TILES = {
    ("convolve", 16): (256, 4),
    ("convolve", 32): (128, 4),
    ("combine", 16): (128, 4),
    ("norm_sums", 16): (256, 4),
    ("norm_sums", 32): (64, 2),
    ("norm_backward", 16): (128, 2),
    ("norm_backward", 32): (128, 4),
    ("weight_gradient", 16): (64, 2),
}
"""Pixels of a tile and warps that work on it, by kernel and channels, where another choice than 64
and 4 was fastest of six: measured on an H200 with 20 parts of 48 images. 64 channels were not."""

WEIGHT_CHUNK_BYTES = 2**25
"""Memory for the partial gradients of a cell's kernels, about."""


@dataclass(frozen=True)
class Tile:
    """How a kernel cuts a part into pieces.

    Attributes:
        rows: Pixels of a tile.
        warps: That work on it.
        blocks: Tiles of a part.
    """

    rows: int
    warps: int
    blocks: int

    @property
    def tiles(self) -> int:
        """Of a chunk, which one program sums."""
        return -(-self.blocks // CHUNKS)

    @property
    def chunks(self) -> int:
        """Of a part."""
        return -(-self.blocks // self.tiles)

    @property
    def words(self) -> dict[str, int]:
        """For the launch of the kernel."""
        return {"ROWS": self.rows, "num_warps": self.warps}


@dataclass(frozen=True)
class Layout:
    """The shape of a stage of cells and how its work is cut into pieces.

    Attributes:
        edges: Each edge of a cell as (target, source), by target.
        parts: Parts of the batch.
        images: Images of a part.
        height: Height of a feature map.
        width: The same.
        channels: The same.
        dtype: Type of the numbers in feature maps.
        device: Where they are.
    """

    edges: tuple[tuple[int, int], ...]
    parts: int
    images: int
    height: int
    width: int
    channels: int
    dtype: torch.dtype
    device: torch.device

    @property
    def pixels(self) -> int:
        """Of a part."""
        return self.images * self.height * self.width

    @property
    def block(self) -> int:
        """Channels, as matrix units take them."""
        return max(16, 1 << (self.channels - 1).bit_length())

    def tile(self, kernel: str) -> Tile:
        """How a kernel cuts a part into pieces."""
        rows, warps = TILES.get((kernel, self.block), (64 if self.block < 128 else 32, 4))
        return Tile(rows, warps, -(-self.pixels // rows))

    @property
    def weight_chunks(self) -> int:
        """Of a part, where gradients of kernels are summed."""
        each = self.parts * len(self.edges) * 9 * self.channels**2 * 4
        most = min(WEIGHT_CHUNKS, self.tile("weight_gradient").blocks)
        return max(1, min(most, WEIGHT_CHUNK_BYTES // each))

    @property
    def sum_dtype(self) -> torch.dtype:
        """Of sums over pixels."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    @cached_property
    def sources(self) -> Tensor:
        """The source of every edge."""
        return self._index([source for _, source in self.edges])

    @cached_property
    def into(self) -> dict[int, tuple[Tensor, Tensor]]:
        """For every node the edges that enter it and their sources."""
        return self._by(0)

    @cached_property
    def out_of(self) -> dict[int, tuple[Tensor, Tensor]]:
        """For every node the edges that leave it and their targets."""
        return self._by(1)

    def _by(self, end: int) -> dict[int, tuple[Tensor, Tensor]]:
        found: dict[int, list[tuple[int, int]]] = {}
        for number, edge in enumerate(self.edges):
            found.setdefault(edge[end], []).append((number, edge[1 - end]))
        return {
            node: (self._index([n for n, _ in of]), self._index([other for _, other in of]))
            for node, of in found.items()
        }

    def _index(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int32, device=self.device)

    def empty(self, count: int) -> Tensor:
        """Feature maps ``[count, parts, pixels, channels]``."""
        shape = (count, self.parts, self.pixels, self.channels)
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def sums(self, *shape: int, zero: bool = False) -> Tensor:
        """Sums of this shape."""
        make = torch.zeros if zero else torch.empty
        return make(shape, dtype=self.sum_dtype, device=self.device)

    def words(self, *names: str) -> dict[str, Any]:
        """Constants of a kernel by name."""
        acc = kernels.tl.float64 if self.dtype == torch.float64 else kernels.tl.float32
        every = {
            "EDGES": len(self.edges),
            "pixels": self.pixels,
            "HEIGHT": self.height,
            "WIDTH": self.width,
            "CHANNELS": self.channels,
            "BLOCK": self.block,
            "ACC": acc,
        }
        return {name: every[name] for name in names}


MAPS = ("EDGES", "pixels", "HEIGHT", "WIDTH", "CHANNELS", "BLOCK", "ACC")
FLAT = ("EDGES", "pixels", "CHANNELS", "BLOCK", "ACC")


@dataclass
class Norms:
    """Batch-norm statistics of every part, ``[..., parts, channels]``.

    Attributes:
        mean: Mean of the pixels of a part.
        scale: 1 / deviation; 0 where a part does not use the norm.
        pixels: Number of pixels of a part.
    """

    mean: Tensor
    scale: Tensor
    pixels: int = 1

    def variance(self, eps: float) -> Tensor:
        """As batch norm divides by; 0 where a part does not use the norm."""
        variance = self.scale.square().reciprocal() - eps
        return torch.where(self.scale > 0, variance.clamp(min=0), 0.0)

    def unbiased(self, eps: float) -> Tensor:
        """The variance as batch norm keeps it."""
        return self.variance(eps) * (self.pixels / max(1, self.pixels - 1))


class CellStage(torch.autograd.Function):
    """A stage of cells: ``[parts, pixels, channels]`` to the same.

    Further inputs: the kernels ``[cells, edges, C, C]`` and ``[cells, edges, 9, C, C]``, by input
    and output channel; weights and biases of the norms ``[cells, edges, 2, C]`` or None; the codes
    ``[parts, edges]``; the layout; eps of the norms, or the norms themselves where they are given;
    and whether what a backward pass needs is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        one: Tensor,
        three: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        codes: Tensor,
        layout: Layout,
        eps: float,
        given: Norms | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        cells, edges = one.shape[:2]
        last = max(target for target, _ in layout.edges)
        kept = cells if keep else 1
        nodes, y = layout.empty(last * kept + 1), layout.empty(kept * edges)
        y = y.view(kept, edges, *y.shape[1:])
        nodes[0].copy_(x)
        if given is None:
            shape = (cells, edges, layout.parts, layout.channels)
            norms = Norms(layout.sums(*shape, zero=True), layout.sums(*shape, zero=True))
        else:
            norms = given
        partial = layout.sums(
            edges, layout.parts, layout.tile("convolve").chunks, 2, layout.channels
        )
        pieces: tuple[Tensor, ...]
        for cell in range(cells):
            place = cell if keep else 0
            if cell and not keep:
                nodes[0].copy_(nodes[last])
            pieces = (nodes[last * place :], one[cell], three[cell], y[place], partial)
            at = Norms(norms.mean[cell], norms.scale[cell])
            affine = None if weight is None or bias is None else (weight[cell], bias[cell])
            _cell_forward(layout, last, codes, pieces, at, affine, None if given else eps)
        ctx.mark_non_differentiable(norms.mean, norms.scale)
        if not keep:
            return nodes[-1], norms.mean, norms.scale
        ctx.layout, ctx.last = layout, last
        ctx.save_for_backward(nodes, y, one, three, weight, codes, norms.mean, norms.scale)
        return nodes[-1], norms.mean, norms.scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        nodes, y, one, three, weight, codes, mean, scale = ctx.saved_tensors
        layout, last = ctx.layout, ctx.last
        cells, edges = one.shape[:2]
        gradients = torch.empty_like(nodes)
        gradients[-1].copy_(gradient)
        dy = layout.empty(edges)
        sums = layout.sums(cells, edges, layout.parts, 2, layout.channels, zero=True)
        d_one = layout.sums(*one.shape)
        d_three = layout.sums(*three.shape)
        for cell in reversed(range(cells)):
            _cell_backward(
                layout,
                last,
                codes,
                (nodes[last * cell :], gradients[last * cell :], y[cell], dy),
                (one[cell], three[cell], None if weight is None else weight[cell]),
                Norms(mean[cell], scale[cell]),
                (sums[cell], d_one[cell], d_three[cell]),
            )
        d_weight = d_bias = None
        if weight is not None:
            chosen = torch.stack([codes == CODES[name] for name in CONVOLUTIONS])
            both = torch.einsum("oke,nekdc->neodc", chosen.to(sums.dtype), sums)
            d_bias, d_weight = (part.to(weight.dtype) for part in both.unbind(3))
        d_x = gradients[0].clone()  # what it is a part of is large
        return (
            d_x, d_one.to(one.dtype), d_three.to(three.dtype), d_weight, d_bias,
            None, None, None, None, None,
        )  # fmt: skip


class PartNorm(torch.autograd.Function):
    """Batch norm of every part by itself: ``[parts, pixels, channels]`` to the same.

    Further inputs: weight and bias ``[C]``; the layout, of one edge; and eps, or the norms
    ``[1, parts, C]`` where they are given.
    """

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        layout: Layout,
        eps: float,
        given: Norms | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        y = y.contiguous()[None]
        of = CODES[CONVOLUTIONS[0]]  # whose weights are the first of an edge
        codes = torch.full((layout.parts, 1), of, dtype=torch.int32, device=y.device)
        edges, sources = layout.into[1]
        parts = layout.parts
        norms = given
        if norms is None:
            shape = (1, parts, layout.channels)
            norms = Norms(layout.sums(*shape), layout.sums(*shape))
            plain = Norms(layout.sums(*shape, zero=True), torch.ones_like(norms.scale))
            tile = layout.tile("norm_sums")
            partial = layout.sums(1, parts, tile.chunks, 2, layout.channels)
            # The sums of a map and of its square are those of a gradient that is the map.
            kernels.norm_sums[parts * tile.chunks, 1](
                y, y, plain.mean, plain.scale, codes, edges, partial,
                parts, tile.chunks, tile.tiles, **layout.words(*FLAT), **tile.words,
            )  # fmt: skip
            _add_up(layout, tile, partial, codes, edges, None, norms, eps)
        out, tile = layout.empty(1), layout.tile("combine")
        kernels.combine[(parts * tile.blocks,)](
            out, y, norms.mean, norms.scale, weight, bias, codes, edges, sources, 0,
            1, parts, tile.blocks, AFFINE=True, **layout.words(*MAPS), **tile.words,
        )  # fmt: skip
        ctx.layout = layout
        ctx.save_for_backward(y, weight, norms.mean, norms.scale, codes)
        ctx.mark_non_differentiable(norms.mean, norms.scale)
        return out[0], norms.mean, norms.scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        y, weight, mean, scale, codes = ctx.saved_tensors
        layout: Layout = ctx.layout
        sums = layout.sums(1, layout.parts, 2, layout.channels)
        dy = torch.empty_like(y)
        edges = layout.into[1][0]
        _norm_backward(
            layout, gradient.contiguous(), y, Norms(mean, scale), weight, codes, edges, sums, dy
        )
        d_bias, d_weight = sums[0].sum(0).to(weight.dtype).unbind()
        return dy[0], d_weight, d_bias, None, None, None


def _cell_forward(
    layout: Layout,
    last: int,
    codes: Tensor,
    of: tuple[Tensor, ...],
    norms: Norms,
    affine: tuple[Tensor, Tensor] | None,
    eps: float | None,
) -> None:
    """``eps``: None where the norms are given."""
    nodes, one, three, y, partial = of
    weight, bias = affine or (one, one)
    parts = layout.parts
    tile, whole = layout.tile("convolve"), layout.tile("combine")
    for node in range(last):
        edges, _ = layout.out_of[node]
        kernels.convolve[parts * tile.chunks, len(edges)](
            nodes, one, three, codes, edges, node, y, partial, parts, tile.chunks, tile.tiles,
            SUMS=eps is not None, **layout.words(*MAPS), **tile.words,
        )  # fmt: skip
        if eps is not None:
            _add_up(layout, tile, partial, codes, edges, None, norms, eps)
        edges, sources = layout.into[node + 1]
        kernels.combine[(parts * whole.blocks,)](
            nodes, y, norms.mean, norms.scale, weight, bias, codes, edges, sources, node + 1,
            len(edges), parts, whole.blocks, AFFINE=affine is not None,
            **layout.words(*MAPS), **whole.words,
        )  # fmt: skip


def _cell_backward(
    layout: Layout,
    last: int,
    codes: Tensor,
    maps: tuple[Tensor, ...],
    weights: tuple[Tensor, Tensor, Tensor | None],
    norms: Norms,
    results: tuple[Tensor, Tensor, Tensor],
) -> None:
    nodes, gradients, y, dy = maps
    one, three, weight = weights
    sums, d_one, d_three = results
    parts = layout.parts
    tile = layout.tile("input_gradient")
    for node in reversed(range(1, last + 1)):
        edges, _ = layout.into[node]
        _norm_backward(layout, gradients[node], y, norms, weight, codes, edges, sums, dy)
        edges, targets = layout.out_of[node - 1]
        kernels.input_gradient[(parts * tile.blocks,)](
            nodes, gradients, dy, one, three, codes, edges, targets, node - 1, len(edges),
            parts, tile.blocks, **layout.words(*MAPS), **tile.words,
        )  # fmt: skip
    chunks, tile = layout.weight_chunks, layout.tile("weight_gradient")
    partial = layout.sums(len(layout.edges), parts * chunks, 9, layout.channels, layout.channels)
    kernels.weight_gradient[parts * chunks, len(layout.edges), 3](
        nodes, dy, codes, layout.sources, partial, parts, chunks, -(-tile.blocks // chunks),
        **layout.words(*MAPS), **tile.words,
    )  # fmt: skip
    size, slice_ = 9 * layout.channels**2, 128
    kernels.add_up_weights[len(layout.edges), -(-size // slice_)](
        partial, codes, d_one, d_three, parts, chunks,
        SIZE=size, MIDDLE=4 * layout.channels**2, **layout.words("EDGES", "ACC"),
        BLOCK=slice_, ROWS=16,
    )  # fmt: skip


def _norm_backward(
    layout: Layout,
    gradient: Tensor,
    y: Tensor,
    norms: Norms,
    weight: Tensor | None,
    codes: Tensor,
    edges: Tensor,
    sums: Tensor,
    dy: Tensor,
) -> None:
    parts, tile = layout.parts, layout.tile("norm_sums")
    partial = layout.sums(len(y), parts, tile.chunks, 2, layout.channels)
    kernels.norm_sums[parts * tile.chunks, len(edges)](
        gradient, y, norms.mean, norms.scale, codes, edges, partial,
        parts, tile.chunks, tile.tiles, **layout.words(*FLAT), **tile.words,
    )  # fmt: skip
    _add_up(layout, tile, partial, codes, edges, sums, norms, 0.0)
    tile = layout.tile("norm_backward")
    kernels.norm_backward[parts * tile.blocks, len(edges)](
        gradient, y, norms.mean, norms.scale, y if weight is None else weight, sums, codes, edges,
        dy, parts, tile.blocks, AFFINE=weight is not None, **layout.words(*FLAT), **tile.words,
    )  # fmt: skip


def _add_up(
    layout: Layout,
    tile: Tile,
    partial: Tensor,
    codes: Tensor,
    edges: Tensor,
    sums: Tensor | None,
    norms: Norms,
    eps: float,
) -> None:
    """To ``sums``, or where there are none to the norms."""
    kernels.add_up[layout.parts, len(edges)](
        partial, codes, edges, partial if sums is None else sums, norms.mean, norms.scale, eps,
        layout.parts, tile.chunks,
        CHUNKS=max(2, 1 << (tile.chunks - 1).bit_length()), NORM=sums is None,
        **layout.words("EDGES", "pixels", "CHANNELS", "BLOCK"),
    )  # fmt: skip
