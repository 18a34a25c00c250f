"""The supernet over a region of the DARTS space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, copy_into
from fewshot_tasks.cifar10.darts import (
    INPUTS,
    KINDS,
    NODES,
    Cells,
    DartsSpace,
    edge_name,
    inputs_name,
    read_pair,
)
from fewshot_tasks.cifar10.darts_network import (
    DartsInputs,
    DartsNetwork,
    DartsSkeleton,
    States,
    edge_key,
    make_darts_operation,
    run_darts_cell,
)
from fewshot_tasks.cifar10.partial import (
    divide_channels,
    join_parts,
    require_whole,
    take_part,
    take_past,
)

Mixed = Mapping[tuple[int, int], Mapping[str, Tensor]]
"""By node and source the weight of each operation of an edge."""


class SharedDartsCell(nn.Module):
    """A cell that holds every operation of every edge that some architecture needs."""

    def __init__(
        self,
        region: Region,
        inputs: tuple[int, int],
        channels: int,
        reduction: bool,
        after: bool,
        affine: bool,
        partial: int,
    ) -> None:
        super().__init__()
        self.kind, self.partial = KINDS[reduction], partial
        part = divide_channels(channels, partial)
        self.inputs = DartsInputs(inputs, channels, after, affine)
        self.edges = nn.ModuleDict()
        for node in NODES:
            for source in sources_of(region, self.kind, node):
                names = options_of(region, edge_name(self.kind, node, source))
                stride = 2 if reduction and source < 2 else 1
                self.edges[edge_key(node, source)] = nn.ModuleDict(
                    {
                        name: make_darts_operation(name, part, stride, affine)
                        for name in sorted(names)
                    }
                )

    def forward(self, states: States, cells: Cells) -> States:
        """The output of the cell before, and this one's."""
        pairs = cells[self.kind]
        return states[1], run_darts_cell(self.inputs(states), pairs, self._operate)

    def mixed(self, states: States, weights: Mapping[str, Mixed]) -> States:
        """With every operation of every edge, weighted."""
        known, mine = list(self.inputs(states)), weights[self.kind]
        edges: Any = self.edges
        for node in NODES:
            terms, past = [], []
            for (target, source), options in mine.items():
                if target != node:
                    continue
                whole = known[source]
                part = take_part(whole, self.partial)
                operations = edges[edge_key(node, source)]
                terms += [weight * operations[name](part) for name, weight in options.items()]
                if self.partial > 1:
                    # A part of every option, so they get the weight of all of them.
                    past.append(sum(options.values()) * self._pass_by(source, whole))
            total = sum(terms[1:], start=terms[0])
            if past:
                total = join_parts(total, sum(past[1:], start=past[0]), self.partial)
            known.append(total)
        return states[1], torch.cat(known[2:], dim=1)

    def _operate(self, node: int, name: str, source: int, x: Tensor) -> Tensor:
        operations: Any = self.edges
        output: Tensor = operations[edge_key(node, source)][name](take_part(x, self.partial))
        if self.partial == 1:
            return output
        return join_parts(output, self._pass_by(source, x), self.partial)

    def _pass_by(self, source: int, x: Tensor) -> Tensor:
        """The channels that no operation sees, at the resolution of those that one does."""
        past = take_past(x, self.partial)
        halved = self.kind == KINDS[True] and source < INPUTS
        return F.max_pool2d(past, 2, ceil_mode=True) if halved else past


class DartsSupernet(Supernet):
    """All pairs of cells of a region, sharing each operation of each edge of each cell."""

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
        assert isinstance(region.space, DartsSpace)
        self.space, self.affine, self.partial = region.space, affine, partial
        self.shape: dict[str, Any] = {
            "channels": channels,
            "cells_per_stage": cells_per_stage,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        self.net = DartsSkeleton(
            lambda inputs, width, reduction, after: SharedDartsCell(
                region, inputs, width, reduction, after, affine, partial
            ),
            **self.shape,
        )

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """``[B, in_chans, H, W]`` to logits ``[B, num_classes]``."""
        logits: Tensor = self.net(x, self.plan(architecture))
        return logits

    def make_plan(self, architecture: Architecture) -> Cells:
        return self.space.cells(architecture)

    def forward_mixed(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Every edge with the weight of the pairs of inputs that it belongs to."""
        plan = {kind: self._weigh(kind, weights) for kind in KINDS}
        states = self.net.stem(x)
        stages: Any = self.net.stages
        reductions: Any = self.net.reductions
        for index, cells in enumerate(stages):
            for cell in [*([reductions[index - 1]] if index else []), *cells]:
                states = cell.mixed(states, plan)
        return self.net.forward_head(self.net.norm(states))

    def _weigh(self, kind: str, weights: Mapping[str, Tensor]) -> Mixed:
        found: dict[tuple[int, int], dict[str, Tensor]] = {}
        allowed = dict(
            zip((d.name for d in self.space.decisions), self.region.allowed, strict=True)
        )
        for node in NODES:
            name = inputs_name(kind, node)
            for source in sources_of(self.region, kind, node):
                share: Tensor | float = 1.0
                if name in allowed:
                    pairs = zip(allowed[name], weights[name], strict=True)
                    share = sum(weight for pair, weight in pairs if source in read_pair(pair))
                edge = edge_name(kind, node, source)
                held = options_of(self.region, edge)
                found[node, source] = {
                    str(option): share * weight
                    for option, weight in zip(allowed[edge], weights[edge], strict=True)
                    if option in held
                }
        return found

    def extract(self, architecture: Architecture) -> DartsNetwork:
        """The standalone network of an architecture, with the supernet's weights."""
        require_whole(self.partial)
        cells = self.plan(architecture)
        network = DartsNetwork(cells, affine=self.affine, **self.shape)
        operations = {
            (kind, edge_key(node, source)): name
            for kind, pairs in cells.items()
            for node, pair in zip(NODES, pairs, strict=True)
            for name, source in pair
        }

        def rename(name: str) -> str:
            parts = name.split(".")
            if "edges" in parts:
                place = parts.index("edges") + 1
                kind = KINDS[parts[0] == "reductions"]
                parts.insert(place + 1, operations[kind, parts[place]])
            return ".".join(["net", *parts])

        copy_into(network, self, rename)
        network.train(self.training)
        return network.to(next(self.parameters()).device)


def sources_of(region: Region, kind: str, node: int) -> tuple[int, ...]:
    """What a node may read in some architecture of the region."""
    name = inputs_name(kind, node)
    if name not in {decision.name for decision in region.space.decisions}:
        return (0, 1)
    pairs = (read_pair(option) for option in region.reachable()[region.space.position(name)])
    return tuple(sorted({source for pair in pairs for source in pair}))


def options_of(region: Region, decision: str) -> frozenset[Any]:
    """What a decision may be in some architecture of the region."""
    return region.reachable()[region.space.position(decision)]
