"""The supernet over a region of a cell space."""

from __future__ import annotations

from torch import Tensor, nn

from fewshot_core.region import Region
from fewshot_core.space import Architecture
from fewshot_core.supernet import Supernet, copy_into
from tasks.cifar10.network import (
    CellNetwork,
    CellSkeleton,
    Edge,
    edge_key,
    make_operation,
    run_cell,
)
from tasks.cifar10.space import CellSpace


class SharedCell(nn.Module):
    """A cell that holds every operation that some architecture of the region needs."""

    def __init__(self, region: Region, channels: int, affine: bool) -> None:
        super().__init__()
        space = region.space
        assert isinstance(space, CellSpace)
        self.edges = nn.ModuleDict()
        for (target, source), options in zip(space.edges, region.reachable(), strict=True):
            names = sorted(str(option) for option in options if option != "none")
            operations = {name: make_operation(name, channels, affine) for name in names}
            self.edges[edge_key(target, source)] = nn.ModuleDict(operations)

    def forward(self, x: Tensor, edges: list[Edge]) -> Tensor:
        return run_cell(x, edges, self._operate)

    def _operate(self, edge: Edge, x: Tensor) -> Tensor:
        target, source, operation = edge
        return self.edges[edge_key(target, source)][operation](x)  # type: ignore[index]


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
    ) -> None:
        super().__init__(region)
        self.affine = affine
        self.shape = {
            "channels": channels,
            "cells_per_stage": cells_per_stage,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        self.net = CellSkeleton(lambda width: SharedCell(region, width, affine), **self.shape)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """``[B, in_chans, H, W]`` to logits ``[B, num_classes]``."""
        self.region.require(architecture)
        return self.net(x, self._plan(architecture))

    def _plan(self, architecture: Architecture) -> list[Edge]:
        space = self.region.space
        assert isinstance(space, CellSpace)
        connected = space.connected(architecture)
        if connected is None:
            return []
        return [
            (target, source, str(operation))
            for (target, source), operation in zip(space.edges, connected.choices, strict=True)
            if operation != "none"
        ]

    def extract(self, architecture: Architecture) -> CellNetwork:
        """The standalone network of an architecture, with the supernet's weights."""
        self.region.require(architecture)
        space = self.region.space
        genotype = space.genotype(architecture)
        network = CellNetwork(genotype, affine=self.affine, **self.shape)
        operation = {
            edge_key(t, s): op
            for (t, s), op in zip(space.edges, architecture.choices, strict=True)  # type: ignore[attr-defined]
        }

        def rename(name: str) -> str:
            parts = name.split(".")
            if "edges" in parts:
                place = parts.index("edges") + 1
                parts.insert(place + 1, str(operation[parts[place]]))
            return ".".join(["net", *parts])

        copy_into(network, self, rename)
        network.train(self.training)
        return network.to(next(self.parameters()).device)
