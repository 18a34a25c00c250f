"""The supernet over a region of a space of NAS-Bench-1Shot1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_tasks.cifar10.graph import GraphSpace, inputs_name, operation_of, read_parents
from fewshot_tasks.cifar10.graph_network import (
    GraphNetwork,
    GraphSkeleton,
    conv_bn_relu,
    make_graph_operation,
    run_graph,
)

WEIGHT = "0.weight"
"""The convolution of a projection, in its state dict."""


class GraphPlan(NamedTuple):
    """What a forward pass has to know of a cell.

    Attributes:
        nodes: Those that reach the output, by their numbers in the space; the output is the last.
        operations: Of the nodes, without the output.
        parents: Of the nodes and of the output, by their places in ``nodes`` from 1 on; 0 is the
            input.
        blocks: Parents of the output by their numbers in the space: each is a block of channels.
    """

    nodes: tuple[int, ...]
    operations: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    blocks: tuple[int, ...]


class SharedGraph(nn.Module):
    """A cell that holds every operation and projection that some architecture needs.

    What a projection reads are the outputs of the cell before: a block of channels for each node
    that may be a parent of the output there, of which an architecture has some.

    Args:
        region: The region.
        inputs: Channels of the input, or of a block of it.
        blocks: How many blocks the input has; 1: it is whole.
        channels: Channels of every node.
        affine: Whether batch norm has weights.
    """

    def __init__(
        self, region: Region, inputs: int, blocks: int, channels: int, affine: bool
    ) -> None:
        super().__init__()
        self.blocks = blocks
        space = _space_of(region)
        self.projections = nn.ModuleDict()
        self.operations = nn.ModuleDict()
        for node in range(1, space.inner + 2):
            if any(0 in parents for parents in possible_parents(region, node)):
                self.projections[str(node)] = conv_bn_relu(inputs * blocks, channels, 1, affine)
            if node <= space.inner:
                names = sorted(map(str, region.reachable()[space.position(operation_of(node))]))
                self.operations[str(node)] = nn.ModuleDict(
                    {name: make_graph_operation(name, channels, affine) for name in names}
                )

    def forward(self, x: Tensor, plan: GraphPlan) -> Tensor:
        """The blocks of the output that the architecture has, one after the other."""
        operations: Any = self.operations
        return run_graph(
            plan.parents,
            lambda place: self._project(plan.nodes[place - 1], x, plan),
            lambda place, value: operations[str(plan.nodes[place - 1])][plan.operations[place - 1]](
                value
            ),
        )

    def _project(self, node: int, x: Tensor, plan: GraphPlan) -> Tensor:
        projections: Any = self.projections
        convolution, norm, relu = projections[str(node)]
        weight = select_blocks(convolution.weight, self.blocks, plan.blocks)
        output: Tensor = relu(norm(F.conv2d(x, weight)))
        return output

    def take(self, plan: GraphPlan) -> Iterator[tuple[str, Tensor]]:
        """The tensors of the decided cell, by their names in it."""
        operations: Any = self.operations
        for place, (node, parents) in enumerate(
            zip(plan.nodes, plan.parents, strict=True), start=1
        ):
            if 0 in parents:
                for name, tensor in self.projections[str(node)].state_dict().items():
                    whole = name != WEIGHT
                    part = tensor if whole else select_blocks(tensor, self.blocks, plan.blocks)
                    yield f"projections.{place}.{name}", part
            if place <= len(plan.operations):
                operation = operations[str(node)][plan.operations[place - 1]]
                for name, tensor in operation.state_dict().items():
                    yield f"operations.{place - 1}.{name}", tensor


class GraphSupernet(Supernet):
    """All cells of a region, sharing each operation of each node.

    The output of a cell has a block of channels for every node that may be a parent of the output;
    an architecture computes the blocks that it has, and what reads them uses that part of its
    weights.
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
        self.space, self.affine = _space_of(region), affine
        self.shape: dict[str, Any] = {
            "channels": channels,
            "cells_per_stage": cells_per_stage,
            "num_classes": num_classes,
            "in_chans": in_chans,
        }
        # The same ones in every region, so that regions inherit them whole.
        self.blocks = self.space.inner + 1

        def make_cell(inputs: int, width: int) -> SharedGraph:
            blocks = 1 if inputs == channels else self.blocks  # the first one reads the stem
            return SharedGraph(region, inputs // blocks, blocks, width, affine)

        self.net = GraphSkeleton(make_cell, self.blocks, **self.shape)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """``[B, in_chans, H, W]`` to logits ``[B, num_classes]``."""
        plan = self.plan(architecture)
        pooled = self.net.forward_head(self.net.forward_features(x, plan), pre_logits=True)
        head = self.net.head
        return F.linear(pooled, select_blocks(head.weight, self.blocks, plan.blocks), head.bias)

    def make_plan(self, architecture: Architecture) -> GraphPlan:
        cell = self.space.cell(architecture)
        pruned = cell.pruned()
        return GraphPlan(
            (*cell.live(), cell.output), pruned.operations, pruned.parents, cell.parents[-1]
        )

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> GraphNetwork:
        """The standalone network of an architecture, with copies of the weights."""
        plan = self.plan(architecture)
        network = GraphNetwork((plan.operations, plan.parents), affine=self.affine, **self.shape)
        weights = dict(self._take(plan))
        tensors = network.state_dict()
        assert tensors.keys() == weights.keys()
        for name, tensor in tensors.items():
            tensor.copy_(weights[name])
        network.train(self.training)
        return network.to(next(self.parameters()).device)

    def _take(self, plan: GraphPlan) -> Iterator[tuple[str, Tensor]]:
        """Tensors by their names in the standalone network."""
        for name, tensor in self.net.state_dict().items():
            if name == "head.weight":
                yield name, select_blocks(tensor, self.blocks, plan.blocks)
            elif not name.startswith("stages."):
                yield name, tensor
        stages: Any = self.net.stages
        for stage, cells in enumerate(stages):
            for index, cell in enumerate(cells):
                for name, tensor in cell.take(plan):
                    yield f"stages.{stage}.{index}.{name}", tensor


def select_blocks(weight: Tensor, blocks: int, chosen: Sequence[int]) -> Tensor:
    """The part of a weight ``[outputs, blocks x channels, ...]`` that reads the chosen blocks."""
    if blocks == 1:
        return weight
    places = torch.tensor(chosen, device=weight.device)
    return weight.unflatten(1, (blocks, -1)).index_select(1, places).flatten(1, 2)


def possible_parents(region: Region, node: int) -> list[tuple[int, ...]]:
    """Sets of parents that some architecture of the region gives a node, or the output."""
    space = _space_of(region)
    name = inputs_name(node, space.inner)
    if name not in {decision.name for decision in space.decisions}:
        return list(space.parents_of(node))
    return [read_parents(option) for option in region.reachable()[space.position(name)]]


def _space_of(region: Region) -> GraphSpace:
    assert isinstance(region.space, GraphSpace)
    return region.space
