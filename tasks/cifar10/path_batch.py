"""A batch in parts through a supernet of cells, each part through a cell of its own.

The stages of cells are one program on the device (:mod:`fewshot_tasks.cifar10.grouped`); the
convolutions between them are torch's, and batch norm sees the images of one part at a time, as it
does where each part is a batch by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_tasks.cifar10.grouped import CODES, CONVOLUTIONS, CellStage, Layout, Norms, PartNorm
from fewshot_tasks.cifar10.network import CellSkeleton, ReductionBlock, edge_key


def codes_of(plans: Sequence[Sequence[str]]) -> Tensor:
    """Codes ``[parts, edges]`` of the operations of every part."""
    return torch.tensor([[CODES[name] for name in plan] for plan in plans], dtype=torch.int32)


@dataclass(frozen=True)
class _Shape:
    """What the layouts of a batch depend on."""

    parts: int
    images: int
    dtype: torch.dtype
    device: torch.device


@dataclass
class GroupedNetwork:
    """Runs batches in parts through the weights of a supernet.

    Attributes:
        net: Skeleton and shared cells of the supernet; its weights are used as they are at each
            call.
        edges: Edges of the cells, as (target, source).
        affine: Whether batch norm in the cells has weights.
    """

    net: CellSkeleton
    edges: tuple[tuple[int, int], ...]
    affine: bool
    _layouts: dict[Any, Layout] = field(default_factory=dict)

    def __call__(
        self,
        images: Tensor,
        codes: Tensor,
        given: Sequence[Norms] | None = None,
        shared: bool = False,
    ) -> tuple[Tensor, list[Norms]]:
        """Logits ``[B, classes]`` of images ``[B, C, H, W]``, and the statistics of every norm.

        Args:
            images: The parts, one after the other.
            codes: ``[parts, edges]``, see :data:`fewshot_tasks.cifar10.grouped.CODES`.
            given: Statistics to normalise with, in the order of those returned; without, each
                part is normalised by its own.
            shared: Whether the images are those of every part; the logits are then
                ``[parts x B, classes]``.
        """
        net, parts = self.net, len(codes)
        each = len(images) if shared else len(images) // parts
        dtype = images.dtype
        if torch.is_autocast_enabled(images.device.type):
            dtype = torch.get_autocast_dtype(images.device.type)
        shape = _Shape(parts, each, dtype, images.device)
        run = _Run(self, replace(shape, parts=1) if shared else shape, codes, given)
        with torch.autocast(images.device.type, enabled=False):
            stem: Any = net.stem
            x = run.norm(stem[1], _convolve(images.to(dtype), stem[0]))
            if shared:
                run.shape = shape
                x = x.permute(0, 2, 3, 1).repeat(parts, 1, 1, 1).permute(0, 3, 1, 2)
            for index, stage in enumerate(net.stages):
                if index:
                    x = run.reduce_size(net.reductions[index - 1], x)  # type: ignore[arg-type]
                x = run.cells(stage, x)
            last: Any = net.norm
            x = run.norm(last[0], x).relu()
            logits = net.forward_head(x.mean((2, 3)).to(net.head.weight.dtype)[..., None, None])
        return logits, run.norms

    def layout(
        self, shape: _Shape, edges: tuple[tuple[int, int], ...], size: tuple[int, int, int]
    ) -> Layout:
        """The layout of maps ``(channels, height, width)``, made once."""
        key = (shape, edges, size)
        if key not in self._layouts:
            channels, height, width = size
            self._layouts[key] = Layout(
                edges, shape.parts, shape.images, height, width, channels, shape.dtype, shape.device
            )
        return self._layouts[key]

    @cached_property
    def sites(self) -> list[_Site]:
        """Every norm of the network, in the order in which statistics are returned."""
        net: Any = self.net
        found = [_Site([[net.stem[1]]])]
        for index, stage in enumerate(net.stages):
            if index:
                block = net.reductions[index - 1]
                found += [_Site([[block.conv_a[2]]]), _Site([[block.conv_b[2]]])]
            found.append(_Site([self._norms_of(cell) for cell in stage]))
        return [*found, _Site([[net.norm[0]]])]

    def _norms_of(self, cell: Any) -> list[nn.BatchNorm2d | None]:
        """By operation and edge."""
        found = []
        for name in CONVOLUTIONS:
            for edge in self.edges:
                operations = cell.edges[edge_key(*edge)]
                found.append(operations[name][2] if name in operations else None)
        return found

    @torch.no_grad()
    def track(self, norms: Sequence[Norms], codes: Tensor) -> None:
        """Move the running statistics as if the parts had come one after the other.

        Of parts that use the same norm, which of them came last makes no difference here: all
        weigh the same.

        Args:
            norms: As returned by a call.
            codes: As given to it.
        """
        chosen = torch.stack([codes == CODES[name] for name in CONVOLUTIONS])  # [op, part, edge]
        for site, measured in zip(self.sites, norms, strict=True):
            site.track(measured, chosen)


@dataclass
class _Site:
    """Norms that are measured together: of one place of the network, or of a stage of cells."""

    norms: list[list[Any]]  # by cell; of a cell by operation and edge, None where there is none
    _places: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @cached_property
    def _present(self) -> list[tuple[int, int]]:
        rows = enumerate(self.norms)
        return [(c, n) for c, row in rows for n, norm in enumerate(row) if norm is not None]

    @cached_property
    def eps(self) -> float:
        """Alike for all of them."""
        found = [norm.eps for row in self.norms for norm in row if norm is not None]
        return float(found[0]) if found else 1e-5

    def track(self, measured: Norms, chosen: Tensor) -> None:
        """Move the running statistics."""
        norms = [self.norms[cell][number] for cell, number in self._present]
        if not norms:
            return
        mean, variance = measured.mean, measured.unbiased(self.eps)
        if mean.dim() == 3:  # one norm, which every part uses
            used = mean.new_full((1, 1), float(mean.shape[1]))
            mean, variance = mean.mean(1)[:, None], variance.mean(1)[:, None]
        else:
            use = chosen.to(mean.dtype)
            used = use.sum(1).reshape(1, -1).expand(len(mean), -1)
            mean, variance = (
                torch.einsum("oke,nekc->noec", use, x).flatten(1, 2) / used.clamp(min=1)[..., None]
                for x in (mean, variance)
            )
        cell, number = self._indices(mean.device)
        used = used[cell, number]
        share = 1 - (1 - norms[0].momentum) ** used
        for name, value in (("running_mean", mean), ("running_var", variance)):
            buffers = [getattr(norm, name) for norm in norms]
            old = torch.stack(buffers)
            new = torch.lerp(old, value[cell, number].to(old.dtype), share[:, None].to(old.dtype))
            torch._foreach_copy_(buffers, list(new.unbind()))
        counts = [norm.num_batches_tracked for norm in norms]
        torch._foreach_copy_(counts, list((torch.stack(counts) + used.long()).unbind()))

    def _indices(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Cell, and number in it, of every norm that there is."""
        if device not in self._places:
            cell, number = (
                torch.tensor(of, device=device) for of in zip(*self._present, strict=True)
            )
            self._places[device] = cell, number
        return self._places[device]


class _Run:
    """One forward pass."""

    def __init__(
        self, network: GroupedNetwork, shape: _Shape, codes: Tensor, given: Sequence[Norms] | None
    ) -> None:
        self.network, self.shape, self.codes, self.given = network, shape, codes, given
        self.norms: list[Norms] = []

    def _given(self) -> Norms | None:
        return None if self.given is None else self.given[len(self.norms)]

    def norm(self, norm: Any, x: Tensor) -> Tensor:
        """Batch norm of ``[B, C, H, W]``, part by part."""
        flat, size = self._flat(x)
        layout = self.network.layout(self.shape, ((1, 0),), size)
        out, mean, scale = PartNorm.apply(
            flat, norm.weight, norm.bias, layout, norm.eps, self._given()
        )
        self.norms.append(Norms(mean, scale, layout.pixels))
        return self._maps(out, size)

    def reduce_size(self, block: ReductionBlock, x: Tensor) -> Tensor:
        """The block of stride 2."""
        a, b, shortcut = block.conv_a, block.conv_b, block.shortcut
        y = self.norm(a[2], _convolve(x.relu(), a[1]))
        y = self.norm(b[2], _convolve(y.relu(), b[1]))
        return y + _convolve(shortcut[0](x), shortcut[1])

    def cells(self, stage: Any, x: Tensor) -> Tensor:
        """A stage of cells."""
        flat, size = self._flat(x)
        layout = self.network.layout(self.shape, self.network.edges, size)
        one, three = (self._kernels(stage, name) for name in CONVOLUTIONS)
        weight, bias = self._affine(stage)
        eps = self.network.sites[len(self.norms)].eps
        keep = torch.is_grad_enabled()
        out, mean, scale = CellStage.apply(
            flat, one, three, weight, bias, self.codes, layout, eps, self._given(), keep
        )
        self.norms.append(Norms(mean, scale, layout.pixels))
        return self._maps(out, size)

    def _kernels(self, stage: Any, name: str) -> Tensor:
        """``[cells, edges, (9,) C, C]``, by input and output channel."""
        found = []
        for cell in stage:
            known = [cell.edges[edge_key(*edge)] for edge in self.network.edges]
            found += [edge[name][1].weight if name in edge else None for edge in known]
        some = next((one for one in found if one is not None), None)
        channels = stage[0].channels
        size = 9 if name == "nor_conv_3x3" else 1
        if some is None:
            shape = (len(stage), len(self.network.edges), size, channels, channels)
            kernel = torch.zeros(shape, dtype=self.shape.dtype, device=self.shape.device)
        else:
            nothing = torch.zeros_like(some)
            kernel = torch.stack([nothing if one is None else one for one in found])
            kernel = kernel.flatten(3).permute(0, 3, 2, 1).to(self.shape.dtype)
            kernel = kernel.reshape(len(stage), -1, size, channels, channels).contiguous()
        return kernel if size == 9 else kernel.squeeze(2)

    def _affine(self, stage: Any) -> tuple[Tensor | None, Tensor | None]:
        """``[cells, edges, 2, C]`` each, or nothing where the norms have no weights."""
        if not self.network.affine:
            return None, None
        values: list[Tensor] = []
        channels, device = stage[0].channels, self.shape.device
        for name in ("weight", "bias"):
            found = []
            for cell in stage:
                for edge in self.network.edges:
                    operations = cell.edges[edge_key(*edge)]
                    for operation in CONVOLUTIONS:
                        norm = operations[operation][2] if operation in operations else None
                        nothing = torch.zeros(channels, device=device)
                        found.append(nothing if norm is None else getattr(norm, name))
            both = torch.stack(found)
            values.append(both.view(len(stage), len(self.network.edges), 2, channels))
        return values[0], values[1]

    def _flat(self, x: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """``[parts, pixels, channels]`` of ``[B, C, H, W]``."""
        _, channels, height, width = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(self.shape.parts, -1, channels)
        return flat, (channels, height, width)

    def _maps(self, flat: Tensor, size: tuple[int, int, int]) -> Tensor:
        channels, height, width = size
        return flat.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _convolve(x: Tensor, convolution: Any) -> Tensor:
    out: Tensor = F.conv2d(
        x,
        convolution.weight.to(x.dtype),
        None,
        convolution.stride,
        convolution.padding,
    )
    return out


class Recalibration:
    """Statistics of every norm and part, averaged over batches as torch's running ones are."""

    def __init__(self, network: GroupedNetwork) -> None:
        self._eps = [site.eps for site in network.sites]
        self._sums: list[tuple[Tensor, Tensor]] = []
        self._batches = 0

    def add(self, norms: Sequence[Norms]) -> None:
        """Those of one batch."""
        pairs = [(n.mean, n.unbiased(eps)) for n, eps in zip(norms, self._eps, strict=True)]
        old = self._sums or [(torch.zeros_like(m), torch.zeros_like(v)) for m, v in pairs]
        self._sums = [(a + m, b + v) for (a, b), (m, v) in zip(old, pairs, strict=True)]
        self._batches += 1

    def norms(self) -> list[Norms]:
        """What to normalise with."""
        count = self._batches
        return [
            Norms(mean / count, (variance / count + eps).rsqrt())
            for (mean, variance), eps in zip(self._sums, self._eps, strict=True)
        ]
