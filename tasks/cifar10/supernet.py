"""The supernet over a region of a cell space."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, copy_into
from fewshot_tasks.cifar10.network import (
    CellNetwork,
    CellSkeleton,
    Edge,
    edge_key,
    make_operation,
    run_cell,
)
from fewshot_tasks.cifar10.partial import (
    divide_channels,
    join_parts,
    require_whole,
    take_part,
    take_past,
)
from fewshot_tasks.cifar10.pooling import SharedAveragePool
from fewshot_tasks.cifar10.space import CellSpace, edge_name

if TYPE_CHECKING:
    from fewshot_tasks.cifar10.path_batch import GroupedNetwork

WIDEST = 128
"""Channels of a stage whose kernels still fit into registers, a square of them."""


def runs_kernels(device: torch.device) -> bool:
    """Whether kernels of Triton run on a device; on CPUs they are interpreted, for tests."""
    if find_spec("triton") is None:
        return False
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"


class SharedConvolution(nn.Sequential):
    """ReLU, convolution and batch norm, of an input whose ReLU may be known."""

    def forward(self, x: Tensor, rectified: Tensor | None = None) -> Tensor:
        relu, convolution, norm = self
        output: Tensor = norm(convolution(relu(x) if rectified is None else rectified))
        return output


def make_shared_operation(name: str, channels: int, affine: bool) -> nn.Module:
    """A candidate operation as the supernet holds it."""
    if name == "avg_pool_3x3":
        return SharedAveragePool()
    operation = make_operation(name, channels, affine)
    return SharedConvolution(*operation) if isinstance(operation, nn.Sequential) else operation


class MixedEdge(NamedTuple):
    """The weights of an edge in a mixture.

    Attributes:
        options: The weight of each operation that there is, by name.
        total: The weight of all options together, ``none`` among them.
    """

    options: Mapping[str, Tensor]
    total: Tensor


class SharedCell(nn.Module):
    """A cell that holds every operation that some architecture of the region needs."""

    def __init__(self, region: Region, channels: int, affine: bool, partial: int = 1) -> None:
        super().__init__()
        space = region.space
        assert isinstance(space, CellSpace)
        self.partial = partial
        self.channels = channels = divide_channels(channels, partial)
        self.edges = nn.ModuleDict()
        for (target, source), options in zip(space.edges, region.reachable(), strict=True):
            names = sorted(str(option) for option in options if option != "none")
            operations = {name: make_shared_operation(name, channels, affine) for name in names}
            self.edges[edge_key(target, source)] = nn.ModuleDict(operations)

    def forward(self, x: Tensor, edges: Sequence[Edge]) -> Tensor:
        """``[B, C, H, W]`` to the same, through these edges, which are sorted by target."""
        return self._whole(x, edges) if self.partial == 1 else run_cell(x, edges, self._operate)

    def _whole(self, x: Tensor, edges: Sequence[Edge]) -> Tensor:
        """As :func:`run_cell`, with fewer passes over memory.

        The convolutions that read a node share its ReLU. Sums are made in place, and so is the
        ReLU of a node that nothing else reads. The backward passes need neither the outputs of
        operations nor the sums, and the values are the same to the last bit.
        """
        kept = {source for _, source, name in edges if name in ("skip_connect", "avg_pool_3x3")}
        nodes, rectified = {0: x}, dict[int, Tensor]()
        ours: dict[int, bool] = {}  # whether a node's tensor is its own, and no other node's
        for target, source, name in edges:
            operation: Any = self.edges[edge_key(target, source)]
            if isinstance(operation[name], SharedConvolution):
                if source not in rectified:
                    # The input belongs to the caller.
                    alone = source != 0 and ours[source] and source not in kept
                    rectified[source] = F.relu(nodes[source], inplace=alone)
                value = operation[name](nodes[source], rectified[source])
            else:
                value = operation[name](nodes[source])
            fresh = name != "skip_connect"
            if target not in nodes:
                nodes[target], ours[target] = value, fresh
                continue
            before = nodes[target]
            if value.dtype != before.dtype or not (fresh or ours[target]):
                nodes[target] = before + value
            else:  # whichever of the two may be written to: a sum has no order
                nodes[target] = before.add_(value) if ours[target] else value.add_(before)
            ours[target] = True
        return nodes[edges[-1][0]] if edges else torch.zeros_like(x)

    def mixed(self, x: Tensor, weights: Mapping[tuple[int, int], MixedEdge]) -> Tensor:
        """The cell with every operation of every edge, weighted; edges in the order of targets."""
        nodes, parts = [x], [take_part(x, self.partial)]
        known: dict[tuple[int, str], Tensor] = {}
        for _, edges in groupby(weights.items(), lambda item: item[0][0]):
            mixes: list[Tensor] = []
            past: list[Tensor] = []
            for edge, mixed in edges:
                mixes += self._mix(edge, parts[edge[1]], mixed, known)
                if self.partial > 1:
                    # A part of every option, so they get the weight of all together: 1, or the
                    # edge's share where edges are normalised (Xu et al., equation 3).
                    past.append(mixed.total * take_past(nodes[edge[1]], self.partial))
            total = _sum(mixes) if mixes else torch.zeros_like(parts[0])
            nodes.append(join_parts(total, _sum(past), self.partial) if past else total)
            parts.append(take_part(nodes[-1], self.partial))
        return nodes[-1]

    def _mix(
        self,
        edge: tuple[int, int],
        x: Tensor,
        mixed: MixedEdge,
        known: dict[tuple[int, str], Tensor],
    ) -> Iterator[Tensor]:
        """``known``: what operations without weights made of a node, which all its edges share."""
        operations: Any = self.edges[edge_key(*edge)]
        for name, weight in mixed.options.items():
            place = (edge[1], name)
            output = known[place] if place in known else operations[name](x)
            if next(operations[name].parameters(), None) is None:
                known[place] = output
            yield weight * output

    def _operate(self, edge: Edge, x: Tensor) -> Tensor:
        target, source, operation = edge
        apply: Any = self.edges[edge_key(target, source)]
        output: Tensor = apply[operation](take_part(x, self.partial))
        if self.partial == 1:
            return output
        return join_parts(output, take_past(x, self.partial), self.partial)


def _sum(tensors: list[Tensor]) -> Tensor:
    first, *others = tensors
    return sum(others, start=first)


class CellPlan(NamedTuple):
    """What a forward pass has to know of a cell.

    Attributes:
        edges: Those that lie on a path from input to output, with their operations.
        operations: By edge of the space; ``none`` where the edge lies on no such path.
    """

    edges: tuple[Edge, ...]
    operations: tuple[str, ...]


class CellSupernet(Supernet):
    """All cells of a region, sharing each operation of each edge.

    The cell of an architecture is the same in every place of the network, as in the networks that
    are trained in the end.
    """

    def __init__(
        self,
        region: Region,
        *,
        channels: int,
        cells_per_stage: int,
        num_classes: int,
        in_chans: int,
        affine: bool = False,
        partial: int = 1,
    ) -> None:
        """``partial``: operations see one of so many channels, the others go past them."""
        super().__init__(region)
        self.affine, self.partial = affine, partial
        assert isinstance(region.space, CellSpace)
        self.space = region.space
        self._grouped: GroupedNetwork | None = None
        self.shape: dict[str, Any] = {
            "channels": channels,
            "cells_per_stage": cells_per_stage,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        self.net = CellSkeleton(
            lambda width: SharedCell(region, width, affine, partial), **self.shape
        )

    def forward(self, x: Tensor, architecture: Architecture | Tensor) -> Tensor:
        """``[B, in_chans, H, W]`` to logits ``[B, num_classes]``."""
        if isinstance(architecture, Tensor):
            return self._forward_parts(x, architecture)
        return self.net(x, self.plan(architecture).edges)

    def make_plan(self, architecture: Architecture) -> CellPlan:
        connected = self.space.connected(architecture)
        if connected is None:
            return CellPlan((), ("none",) * len(self.space.edges))
        cell = self.space.cell(connected)
        edges = tuple(edge for edge in cell if edge[2] != "none")
        return CellPlan(edges, tuple(operation for _, _, operation in cell))

    def path_batch(
        self, architectures: Sequence[Architecture], device: torch.device
    ) -> Tensor | None:
        """Codes of the operations ``[parts, edges]``, where Triton's kernels can run."""
        if not (runs_kernels(device) and self.partial == 1 and self.net.num_features <= WIDEST):
            return None
        from fewshot_tasks.cifar10.path_batch import codes_of  # which needs Triton

        return codes_of([self.plan(architecture).operations for architecture in architectures])

    def _group(self) -> GroupedNetwork:
        from fewshot_tasks.cifar10.path_batch import GroupedNetwork

        if self._grouped is None:
            self._grouped = GroupedNetwork(self.net, self.space.edges, self.affine)
        return self._grouped

    def _forward_parts(self, x: Tensor, codes: Tensor) -> Tensor:
        network = self._group()
        logits, norms = network(x, codes)
        if self.training:
            network.track(norms, codes)
        return logits

    def logits_of_many(
        self,
        architectures: Sequence[Architecture],
        calibration: Sequence[Tensor],
        batches: Iterable[Tensor],
    ) -> Iterator[Tensor] | None:
        device = next(self.parameters()).device
        codes = self.path_batch(architectures, device) if calibration else None
        return None if codes is None else self._logits_of(codes.to(device), calibration, batches)

    def _logits_of(
        self, codes: Tensor, calibration: Sequence[Tensor], batches: Iterable[Tensor]
    ) -> Iterator[Tensor]:
        from fewshot_tasks.cifar10.path_batch import Recalibration

        network = self._group()
        statistics = Recalibration(network)
        for images in calibration:
            statistics.add(network(images, codes, shared=True)[1])
        norms = statistics.norms()
        for images in batches:
            logits, _ = network(images, codes, norms, shared=True)
            yield logits.view(len(codes), len(images), -1)

    def forward_mixed(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        plan: dict[tuple[int, int], MixedEdge] = {}
        for edge, allowed, reachable in zip(
            self.space.edges, self.region.allowed, self.region.reachable(), strict=True
        ):
            values = weights[edge_name(*edge)]
            options = {
                str(option): values[place]
                for place, option in enumerate(allowed)
                if option != "none" and option in reachable
            }
            plan[edge] = MixedEdge(options, values.sum())
        for stage, cells in enumerate(self.net.stages):
            x = self.net.reductions[stage - 1](x) if stage else self.net.stem(x)
            for cell in cells:  # type: ignore[attr-defined]
                x = cell.mixed(x, plan)
        return self.net.forward_head(self.net.norm(x))

    def competing(self) -> tuple[tuple[str, ...], ...]:
        return tuple(
            tuple(edge_name(t, s) for t, s in self.space.edges if t == target)
            for target in range(1, self.space.nodes)
        )

    def extract(self, architecture: Architecture) -> CellNetwork:
        """The standalone network of an architecture, with the supernet's weights."""
        self.region.require(architecture)
        require_whole(self.partial)
        cell = self.space.cell(architecture)
        network = CellNetwork(cell, affine=self.affine, **self.shape)
        operation = {edge_key(target, source): name for target, source, name in cell}

        def rename(name: str) -> str:
            parts = name.split(".")
            if "edges" in parts:
                place = parts.index("edges") + 1
                parts.insert(place + 1, operation[parts[place]])
            return ".".join(["net", *parts])

        copy_into(network, self, rename)
        network.train(self.training)
        return network.to(next(self.parameters()).device)
