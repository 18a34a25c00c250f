"""Networks of a normal and a reduction cell, as in DARTS (Liu et al., ICLR 2019).

A 3x3 stem of 3C channels, then 3N + 2 cells: three stages of N normal cells with C, 2C and 4C
channels a node, and a reduction cell in front of the second and third. A cell reads the two cells
before it, through 1x1 convolutions, and concatenates its four nodes. C=36 and N=6 (20 cells) are
DARTS's. It travels with exported models, see :mod:`fewshot_tasks.cifar10.stages`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from fewshot_tasks.cifar10.stages import StagedNetwork, build, describe_model, register

Pairs = Sequence[Sequence[tuple[str, int]]]
"""The two edges of each node: an operation and what it reads."""

States = tuple[Tensor, Tensor]
"""Outputs of the two cells before."""

BLOCKS = 4
"""Nodes of a cell, and so blocks of its output."""


POOLS: Mapping[str, Callable[[int], nn.Module]] = {
    "max_pool_3x3": lambda stride: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda stride: nn.AvgPool2d(3, stride, padding=1, count_include_pad=False),
}


def convolution(inputs: int, outputs: int, affine: bool) -> nn.Sequential:
    """ReLU, 1x1 convolution, batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs, affine=affine),
    )


def depthwise(
    channels: int, kernel: int, stride: int, dilation: int, affine: bool
) -> nn.Sequential:
    """ReLU, a depthwise and a 1x1 convolution, batch norm."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(
            *(channels, channels, kernel, stride, padding, dilation), groups=channels, bias=False
        ),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


class FactorizedReduce(nn.Module):
    """Half of the resolution by two 1x1 convolutions, the second of which reads odd pixels."""

    def __init__(self, inputs: int, outputs: int, affine: bool) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x, (0, 1, 0, 1))[..., 1:, 1:]  # odd sizes have a pixel more
        output: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return output


def make_darts_operation(name: str, channels: int, stride: int, affine: bool = True) -> nn.Module:
    """An operation of an edge: ``[B, C, H, W]`` to ``[B, C, ceil(H/stride), ceil(W/stride)]``.

    In a search, whose batch norms have no scales, pooled values are normalised as well, as in
    DARTS: what an edge adds to a node is then of one size for all operations but the skip.
    """
    if name in POOLS:
        pool = POOLS[name](stride)
        return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)
    if name in ("sep_conv_3x3", "sep_conv_5x5"):
        kernel = int(name[-1])
        first = depthwise(channels, kernel, stride, 1, affine)
        return nn.Sequential(*first, *depthwise(channels, kernel, 1, 1, affine))
    if name in ("dil_conv_3x3", "dil_conv_5x5"):
        return depthwise(channels, int(name[-1]), stride, 2, affine)
    raise ValueError(f"unknown operation {name!r}")


def edge_key(node: int, source: int) -> str:
    """Name of an edge's modules in a state dict."""
    return f"{node}_{source}"


def run_darts_cell(
    states: States, pairs: Pairs, apply: Callable[[int, str, int, Tensor], Tensor]
) -> Tensor:
    """The concatenation of the nodes; ``apply`` takes node, operation, source and its value."""
    known = list(states)
    for node, pair in enumerate(pairs, start=2):
        (one, first), (other, second) = pair
        known.append(
            apply(node, one, first, known[first]) + apply(node, other, second, known[second])
        )
    return torch.cat(known[2:], dim=1)


class DartsInputs(nn.Module):
    """The 1x1 convolutions through which a cell reads the two cells before it."""

    def __init__(self, inputs: tuple[int, int], channels: int, after: bool, affine: bool) -> None:
        super().__init__()
        # The cell before a reduction cell has twice the pixels.
        self.first = (
            FactorizedReduce(inputs[0], channels, affine)
            if after
            else convolution(inputs[0], channels, affine)
        )
        self.second = convolution(inputs[1], channels, affine)

    def forward(self, states: States) -> States:
        return self.first(states[0]), self.second(states[1])


class FixedDartsCell(nn.Module):
    """One cell with its edges decided. It hands on the output of the cell before, and its own."""

    def __init__(
        self,
        pairs: Pairs,
        inputs: tuple[int, int],
        channels: int,
        reduction: bool,
        after: bool,
        affine: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.pairs, self.drop_path = pairs, DropPath(drop_path)
        self.inputs = DartsInputs(inputs, channels, after, affine)
        self.edges = nn.ModuleDict()
        for node, pair in enumerate(pairs, start=2):
            for name, source in pair:
                stride = 2 if reduction and source < 2 else 1
                operation = make_darts_operation(name, channels, stride, affine)
                self.edges[edge_key(node, source)] = operation

    def forward(self, states: States) -> States:
        output = run_darts_cell(self.inputs(states), self.pairs, self._operate)
        return states[1], output

    def _operate(self, node: int, name: str, source: int, x: Tensor) -> Tensor:
        operation = self.edges[edge_key(node, source)]
        output: Tensor = operation(x)
        # An edge that does nothing is not dropped.
        return output if isinstance(operation, nn.Identity) else self.drop_path(output)


class Twice(nn.Module):
    """The first cell reads the stem twice."""

    def forward(self, x: Tensor) -> States:
        return x, x


class Last(nn.Module):
    """The output of the last cell, of what it hands on."""

    def forward(self, states: States | Tensor) -> Tensor:
        return states[1] if isinstance(states, tuple) else states


class AuxiliaryHead(nn.Module):
    """A classifier of what the second reduction cell gives, in training alone."""

    def __init__(self, inputs: int, num_classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(inputs, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        # Of 8 pixels (images of 32) as in DARTS, which is for no others.
        wide = min(x.shape[-2:]) == 8
        x = (
            F.avg_pool2d(x, 5, stride=3, count_include_pad=False)
            if wide
            else F.adaptive_avg_pool2d(x, 2)
        )
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


class DartsSkeleton(StagedNetwork):
    """Everything around the cells.

    ``make_cell(inputs, channels, reduction, after)`` makes each of them: channels of the outputs of
    the two cells before, of its nodes, whether it halves the resolution, and whether it stands
    behind one that does.
    """

    def __init__(
        self,
        make_cell: Callable[[tuple[int, int], int, bool, bool], nn.Module],
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
        self._describe([BLOCKS * width for width in widths], num_classes, drop_rate)
        stem = 3 * channels
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem), Twice()
        )
        stages: list[nn.ModuleList] = []
        reductions: list[nn.Module] = []
        inputs, after = (stem, stem), False
        for index, width in enumerate(widths):
            stages.append(nn.ModuleList())
            for number in range(cells_per_stage + bool(index)):
                reduction = bool(index) and number == 0
                cell = make_cell(inputs, width, reduction, after)
                (reductions if reduction else stages[-1]).append(cell)
                inputs, after = (inputs[1], BLOCKS * width), reduction
        self.stages = nn.ModuleList(stages)
        self.reductions = nn.ModuleList(reductions)
        self.norm = Last()
        self._add_head(global_pool)

    def enter_stage(self, index: int, x: Any, *cell_arguments: Any) -> Any:
        return self.reductions[index - 1](x, *cell_arguments) if index else x

    def unnormed(self, x: Any) -> Tensor:
        return Last()(x)

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] | None = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """As of all networks. There is no norm to prune, and what stands there is needed."""
        return super().prune_intermediate_layers(indices, False, prune_head)


class DartsNetwork(DartsSkeleton):
    """A network of two decided cells.

    In training it gives its logits and those of the auxiliary head, if it has one.
    """

    def __init__(
        self,
        cells: Mapping[str, Pairs],
        *,
        channels: int = 36,
        cells_per_stage: int = 6,
        num_classes: int = 10,
        in_chans: int = 3,
        affine: bool = True,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        auxiliary: bool = False,
    ) -> None:
        super().__init__(
            lambda inputs, width, reduction, after: FixedDartsCell(
                cells["reduce" if reduction else "normal"],
                *(inputs, width, reduction, after, affine, drop_path_rate),
            ),
            channels=channels,
            cells_per_stage=cells_per_stage,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
        )
        self.drop_path_rate = drop_path_rate
        width = BLOCKS * 4 * channels
        self.auxiliary = AuxiliaryHead(width, num_classes) if auxiliary else None

    def follow(self, progress: float) -> None:
        """Drop paths more and more, up to ``drop_path_rate``; trained by others, all along."""
        for module in self.modules():
            if isinstance(module, DropPath):
                module.drop_prob = self.drop_path_rate * progress

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        """``[B, in_chans, H, W]`` to logits ``[B, num_classes]``, or to a pair of them."""
        if self.auxiliary is None or not self.training:
            return super().forward(x)
        states = self.stem(x)
        for index in range(len(self.stages)):
            states = self.enter_stage(index, states)
            if index == len(self.stages) - 1:
                auxiliary = self.auxiliary(states[1])
            states = self.run_cells(index, states)
        return self.forward_head(self.norm(states)), auxiliary


def parse_cells(genotype: str) -> dict[str, Pairs]:
    """The cells of DARTS's text."""
    cells: dict[str, Pairs] = {}
    for kind in ("normal", "reduce"):
        found = re.search(rf"{kind}=\[([^\]]*)\]", genotype)
        pairs = re.findall(r"\('(\w+)', (\d+)\)", found[1]) if found else []
        if not pairs or len(pairs) % 2:
            raise ValueError(f"not a genotype: {genotype!r}")
        edges = [(name, int(source)) for name, source in pairs]
        cells[kind] = [edges[i : i + 2] for i in range(0, len(edges), 2)]
    return cells


default_cfgs = describe_model("darts_cells")


@register
def darts_cells(pretrained: bool = False, *, genotype: str, **kwargs: Any) -> nn.Module:
    """A network of the DARTS space; ``genotype`` is DARTS's text."""
    return build("darts_cells", DartsNetwork, pretrained, cells=parse_cells(genotype), **kwargs)
