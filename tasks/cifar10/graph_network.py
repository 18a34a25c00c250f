"""Networks built from one repeated cell of NAS-Bench-1Shot1 (Zela et al., ICLR 2020).

A 3x3 stem, three stages of three cells with C, 2C and 4C channels a node, max pooling between them,
global average pooling and a linear classifier. A node reads the cell's input through a 1x1
convolution of its own. It travels with exported models, see :mod:`fewshot_tasks.cifar10.stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fewshot_tasks.cifar10.stages import StagedNetwork, build, describe_model, register

Graph = tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]
"""Operations of the nodes, and parents of the nodes and of the output; 0 is the input."""


def conv_bn_relu(inputs: int, outputs: int, size: int, affine: bool = True) -> nn.Sequential:
    """NAS-Bench-101's convolution: ``[B, inputs, H, W]`` to ``[B, outputs, H, W]``."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs, affine=affine),
        nn.ReLU(),
    )


def make_graph_operation(name: str, channels: int, affine: bool = True) -> nn.Module:
    """An operation of a node on ``[B, channels, H, W]``, which keeps the shape."""
    if name in ("conv1x1-bn-relu", "conv3x3-bn-relu"):
        return conv_bn_relu(channels, channels, int(name[4]), affine)
    if name == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    raise ValueError(f"unknown operation {name!r}")


def parse_graph(genotype: str) -> Graph:
    """Operations and parents of ``0110-...;input,...,output``, of what reaches the output.

    The last parents are those of the output.
    """
    rows, _, names = genotype.partition(";")
    matrix, operations = rows.split("-"), names.split(",")
    last = len(matrix) - 1
    into = [[s for s in range(t) if matrix[s][t] == "1"] for t in range(last + 1)]
    live, left = {0, last}, [last]
    while left:
        fresh = set(into[left.pop()]) - live
        live |= fresh
        left += fresh
    kept = sorted(live)
    if last < 2 or not into[last]:
        raise ValueError(f"not a cell: {genotype!r}")
    parents = [tuple(kept.index(s) for s in into[t] if s in live) for t in kept[1:]]
    return tuple(operations[v] for v in kept[1:-1]), tuple(parents)


def run_graph(
    parents: Sequence[Sequence[int]],
    project: Callable[[int], Tensor],
    operate: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """The cell's output: the concatenation of the output's parents.

    Args:
        parents: Of the nodes from 1 on, and of the output.
        project: The cell's input as a node, or the output, reads it.
        operate: What a node makes of the sum of its parents.
    """
    nodes: dict[int, Tensor] = {}
    for node, sources in enumerate(parents[:-1], start=1):
        first, *others = (nodes[s] if s else project(node) for s in sources)
        nodes[node] = operate(node, sum(others, start=first))
    end = len(parents)
    return torch.cat([nodes[s] if s else project(end) for s in parents[-1]], dim=1)


class FixedGraph(nn.Module):
    """One cell with its operations and parents decided.

    Every node that reads the cell's input has a projection of its own.
    """

    def __init__(self, graph: Graph, inputs: int, channels: int, affine: bool) -> None:
        super().__init__()
        operations, self.parents = graph
        self.projections = nn.ModuleDict(
            {
                str(node): conv_bn_relu(inputs, channels, 1, affine)
                for node, sources in enumerate(self.parents, start=1)
                if 0 in sources
            }
        )
        self.operations = nn.ModuleList(
            make_graph_operation(name, channels, affine) for name in operations
        )

    def forward(self, x: Tensor) -> Tensor:
        return run_graph(
            self.parents,
            lambda node: self.projections[str(node)](x),
            lambda node, value: self.operations[node - 1](value),
        )


class GraphSkeleton(StagedNetwork):
    """Everything around the cells. ``make_cell(inputs, channels)`` makes each of them.

    The output of a cell has ``blocks`` times its channels. Between stages is a max pooling.
    """

    def __init__(
        self,
        make_cell: Callable[[int, int], nn.Module],
        blocks: int,
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
        self._describe([blocks * width for width in widths], num_classes, drop_rate)
        self.stem = conv_bn_relu(in_chans, channels, 3)
        stages, inputs = [], channels
        for width in widths:
            stages.append(nn.ModuleList())
            for _ in range(cells_per_stage):
                stages[-1].append(make_cell(inputs, width))
                inputs = blocks * width
        self.stages = nn.ModuleList(stages)
        self.reductions = nn.ModuleList(nn.MaxPool2d(2, ceil_mode=True) for _ in pairwise(widths))
        self.norm = nn.Identity()
        self._add_head(global_pool)


class GraphNetwork(GraphSkeleton):
    """A network of one decided cell, as of :func:`parse_graph`."""

    def __init__(
        self,
        graph: Graph,
        *,
        channels: int = 16,
        cells_per_stage: int = 3,
        num_classes: int = 10,
        in_chans: int = 3,
        affine: bool = True,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__(
            lambda inputs, width: FixedGraph(graph, inputs, width, affine),
            len(graph[1][-1]),
            channels=channels,
            cells_per_stage=cells_per_stage,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
        )


default_cfgs = describe_model("nasbench1shot1_cell")


@register
def nasbench1shot1_cell(pretrained: bool = False, *, genotype: str, **kwargs: Any) -> nn.Module:
    """A NAS-Bench-1Shot1 network; ``genotype`` is the text of its cell."""
    return build(
        "nasbench1shot1_cell", GraphNetwork, pretrained, graph=parse_graph(genotype), **kwargs
    )
