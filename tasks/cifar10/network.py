"""Networks built from one repeated cell of NAS-Bench-201.

The macro skeleton is that of NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2.1): a 3x3 stem,
three stages of N cells with C, 2C and 4C channels, a residual block of stride 2 between stages,
then batch norm, ReLU, global average pooling and a linear classifier. C=16 and N=5 are theirs.
It travels with exported models, see :mod:`fewshot_tasks.cifar10.stages`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fewshot_tasks.cifar10.stages import StagedNetwork, build, describe_model, register

Edge = tuple[int, int, str]  # target node, source node, operation


def parse_cell(genotype: str) -> list[Edge]:
    """The edges of ``|op~0|+|op~0|op~1|+...``, in the order of the text, ``none`` included."""
    edges = [
        (target, int(source), operation)
        for target, group in enumerate(genotype.split("+"), start=1)
        for operation, source in re.findall(r"([A-Za-z0-9_]+)~(\d+)", group)
    ]
    if not edges:
        raise ValueError(f"not a cell: {genotype!r}")
    return edges


def live_edges(edges: Iterable[Edge]) -> list[Edge]:
    """The edges on some path from node 0 to the last node."""
    edges = list(edges)
    active = sorted(edge for edge in edges if edge[2] != "none")
    last = max(target for target, _, _ in edges)
    reached, reaching = {0}, {last}
    for target, source, _ in active:
        if source in reached:
            reached.add(target)
    for target, source, _ in reversed(active):
        if target in reaching:
            reaching.add(source)
    return [e for e in active if e[1] in reached and e[0] in reaching]


def make_operation(name: str, channels: int, affine: bool = True) -> nn.Module:
    """A candidate operation on ``[B, channels, H, W]`` that keeps the shape."""
    if name in ("nor_conv_1x1", "nor_conv_3x3"):
        size = 1 if name == "nor_conv_1x1" else 3
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity()
    raise ValueError(f"unknown operation {name!r}")


def run_cell(x: Tensor, edges: Iterable[Edge], apply: Callable[[Edge, Tensor], Tensor]) -> Tensor:
    """Sum the edges into their nodes and return the last node; zeros if nothing reaches it.

    ``edges`` are sorted by target, so that a node is complete before it is read.
    """
    nodes: dict[int, Tensor] = {0: x}
    last = 0
    for edge in edges:
        target, source, _ = edge
        value = apply(edge, nodes[source])
        nodes[target] = nodes[target] + value if target in nodes else value
        last = target
    return nodes[last] if last else torch.zeros_like(x)


def edge_key(target: int, source: int) -> str:
    """Name of an edge's modules in a state dict."""
    return f"edge_{target}_{source}"


class FixedCell(nn.Module):
    """One cell with its operations decided.

    With ``prune=False`` operations that cannot reach the output are built as well, though never
    computed, so that the parameters are those of the benchmark's networks.
    """

    def __init__(self, cell: Sequence[Edge], channels: int, affine: bool, prune: bool) -> None:
        super().__init__()
        self.live = live_edges(cell)
        kept = self.live if prune else [edge for edge in cell if edge[2] != "none"]
        self.edges = nn.ModuleDict(
            {edge_key(t, s): make_operation(op, channels, affine) for t, s, op in kept}
        )

    def forward(self, x: Tensor) -> Tensor:
        return run_cell(x, self.live, lambda edge, v: self.edges[edge_key(edge[0], edge[1])](v))


class ReductionBlock(nn.Module):
    """Residual block of stride 2: ``[B, C, H, W]`` to ``[B, 2C, ceil(H/2), ceil(W/2)]``."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv_a = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.conv_b = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        # ceil_mode keeps odd sizes in step with the strided convolution.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_b(self.conv_a(x)) + self.shortcut(x)


class CellSkeleton(StagedNetwork):
    """Everything around the cells. ``make_cell(channels)`` makes each of them."""

    def __init__(
        self,
        make_cell: Callable[[int], nn.Module],
        *,
        channels: int,
        cells_per_stage: int,
        num_classes: int,
        in_chans: int,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self._describe(widths, num_classes, drop_rate)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(make_cell(width) for _ in range(cells_per_stage)) for width in widths
        )
        self.reductions = nn.ModuleList(
            ReductionBlock(narrow, wide) for narrow, wide in pairwise(widths)
        )
        self.norm: nn.Module = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self._add_head(global_pool)


class CellNetwork(CellSkeleton):
    """A network of one decided cell, given as its edges, ``none`` included."""

    def __init__(
        self,
        cell: Sequence[Edge],
        *,
        channels: int = 16,
        cells_per_stage: int = 5,
        num_classes: int = 10,
        in_chans: int = 3,
        affine: bool = True,
        prune: bool = True,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__(
            lambda width: FixedCell(cell, width, affine, prune),
            channels=channels,
            cells_per_stage=cells_per_stage,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
        )
        self.cell = tuple(cell)


default_cfgs = describe_model("nasbench201_cell")


@register
def nasbench201_cell(pretrained: bool = False, *, genotype: str, **kwargs: Any) -> nn.Module:
    """A NAS-Bench-201 network; ``genotype`` is the text of its cell."""
    return build("nasbench201_cell", CellNetwork, pretrained, cell=parse_cell(genotype), **kwargs)
