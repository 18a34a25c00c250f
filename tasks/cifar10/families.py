"""The kinds of cells that the task knows, and what each is built with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

from torch import nn

from fewshot_core.costs.table import CostTable, measure
from fewshot_core.data import ImageShape
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_tasks.cifar10 import darts, darts_network, graph, graph_network, network, stages
from fewshot_tasks.cifar10.darts import DartsSpace
from fewshot_tasks.cifar10.darts_network import DartsNetwork
from fewshot_tasks.cifar10.darts_supernet import DartsSupernet
from fewshot_tasks.cifar10.draw import cell_svg, darts_svg, graph_svg
from fewshot_tasks.cifar10.graph import GraphSpace
from fewshot_tasks.cifar10.graph_network import Graph, GraphNetwork
from fewshot_tasks.cifar10.graph_supernet import GraphSupernet
from fewshot_tasks.cifar10.network import CellNetwork
from fewshot_tasks.cifar10.settings import CellSettings
from fewshot_tasks.cifar10.space import OPERATIONS, CellSpace
from fewshot_tasks.cifar10.supernet import CellSupernet

POOL = "max_pool_3x3"


class CellFamily(ABC):
    """Supernets, networks, costs and pictures of one kind of cells.

    Attributes:
        model: Name of its networks in timm, which take a genotype.
        files: The modules that register it, to be joined in this order.
    """

    model: str
    files: tuple[ModuleType, ...]

    @abstractmethod
    def supernet(
        self, region: Region, settings: CellSettings, shape: ImageShape, partial: int
    ) -> Supernet:
        """A supernet; ``partial`` as of :meth:`fewshot_core.task.Task.supernet`."""

    @abstractmethod
    def network(
        self, space: Any, architecture: Architecture, settings: CellSettings, shape: ImageShape
    ) -> nn.Module:
        """The standalone network of an architecture."""

    @abstractmethod
    def costs(self, space: Any, settings: CellSettings, shape: ImageShape) -> CostTable:
        """Exact costs, measured on a few small networks."""

    @abstractmethod
    def draw(self, space: Any, architecture: Architecture) -> str:
        """The cell, or the cells, as SVG."""


class EdgeCells(CellFamily):
    """An operation on every edge: NAS-Bench-201."""

    model = "nasbench201_cell"
    files = (stages, network)

    def supernet(
        self, region: Region, settings: CellSettings, shape: ImageShape, partial: int
    ) -> CellSupernet:
        return CellSupernet(
            region, affine=settings.supernet_affine, partial=partial, **sizes_of(settings, shape)
        )

    def network(
        self,
        space: CellSpace,
        architecture: Architecture,
        settings: CellSettings,
        shape: ImageShape,
    ) -> CellNetwork:
        return CellNetwork(space.cell(architecture), **sizes_of(settings, shape))

    def costs(self, space: CellSpace, settings: CellSettings, shape: ImageShape) -> CostTable:
        """Exact, because the cost of an operation depends on nothing but the operation.

        Five small networks are measured: one without operations, and one for each operation.
        """

        def cost(operation: str) -> dict[str, float]:
            # On the edge from input to output: fvcore does not see what leads nowhere.
            direct = space.edges.index((space.nodes - 1, 0))
            choices = ["none"] * len(space.edges)
            choices[direct] = operation
            architecture = Architecture(space.name, tuple(choices))
            network = self.network(space, architecture, settings, shape)
            return measure(network, shape.input_size)

        base = cost("none")
        added = {operation: _subtract(cost(operation), base) for operation in OPERATIONS}
        return CostTable(space, base, {d.name: dict(added) for d in space.decisions})

    def draw(self, space: CellSpace, architecture: Architecture) -> str:
        return cell_svg(space, architecture)


class GraphCells(CellFamily):
    """An operation on every node, whose parents are chosen: NAS-Bench-1Shot1."""

    model = "nasbench1shot1_cell"
    files = (stages, graph_network)

    def supernet(
        self, region: Region, settings: CellSettings, shape: ImageShape, partial: int
    ) -> GraphSupernet:
        return GraphSupernet(region, affine=settings.supernet_affine, **sizes_of(settings, shape))

    def network(
        self,
        space: GraphSpace,
        architecture: Architecture,
        settings: CellSettings,
        shape: ImageShape,
    ) -> GraphNetwork:
        pruned = space.cell(architecture).pruned()
        return GraphNetwork((pruned.operations, pruned.parents), **sizes_of(settings, shape))

    def costs(self, space: GraphSpace, settings: CellSettings, shape: ImageShape) -> CostTable:
        """Exact: all nodes have as many channels, and all outputs as many blocks.

        A few graphs are measured that differ in one node, or in one that reads the input.
        """

        def cost(*operations: str, inputs: int = 1) -> dict[str, float]:
            """Nodes in a row, the first ``inputs`` of which read the input, as the output does."""
            row = tuple(
                ((0,) if node < inputs else ()) + ((node,) if node else ())
                for node in range(len(operations))
            )
            last = tuple(range(len(operations) + 1))[-(space.numbers[-1] - 1) :]
            cell: Graph = (operations, (*row, (0, *last)))
            return measure(GraphNetwork(cell, **sizes_of(settings, shape)), shape.input_size)

        pool = "maxpool3x3"  # of no cost that is counted
        length = max(2, space.numbers[-1] - 1)
        plain = cost(*[pool] * length)
        projection = _subtract(cost(*[pool] * length, inputs=2), plain)
        added = {
            operation: _subtract(cost(operation, *[pool] * (length - 1)), plain)
            for operation in graph.OPERATIONS
        }
        # The plain row projects its input for the first node and for the output.
        base = {name: value - 2 * projection[name] for name, value in plain.items()}
        options: dict[str, dict[Any, dict[str, float]]] = {}
        for node in range(1, space.inner + 2):
            options[graph.inputs_name(node, space.inner)] = {graph.INPUT: projection}
            if node <= space.inner:
                options[graph.operation_of(node)] = dict(added)
        return CostTable(space, base, options)

    def draw(self, space: GraphSpace, architecture: Architecture) -> str:
        return graph_svg(space, architecture)


class DartsCells(CellFamily):
    """A normal and a reduction cell: the DARTS space."""

    model = "darts_cells"
    files = (stages, darts_network)

    def supernet(
        self, region: Region, settings: CellSettings, shape: ImageShape, partial: int
    ) -> DartsSupernet:
        return DartsSupernet(
            region, affine=settings.supernet_affine, partial=partial, **sizes_of(settings, shape)
        )

    def network(
        self,
        space: DartsSpace,
        architecture: Architecture,
        settings: CellSettings,
        shape: ImageShape,
    ) -> DartsNetwork:
        return DartsNetwork(
            space.cells(architecture),
            drop_path_rate=settings.drop_path_rate,
            auxiliary=settings.auxiliary,
            **sizes_of(settings, shape),
        )

    def costs(self, space: DartsSpace, settings: CellSettings, shape: ImageShape) -> CostTable:
        """Exact: an operation costs as much on any edge of the same kind of cell and stride.

        Networks are measured that have it on one edge, and elsewhere poolings, which are not
        counted.
        """
        pools = [[(POOL, 0), (POOL, 1)], *[[(POOL, 0), (POOL, 2)]] * 3]

        def cost(kind: str, node: int, operation: str) -> dict[str, float]:
            cells = {name: [list(pair) for pair in pools] for name in darts.KINDS}
            _, source = cells[kind][node - 2][1]
            cells[kind][node - 2][1] = (operation, source)
            return measure(DartsNetwork(cells, **sizes_of(settings, shape)), shape.input_size)

        base = cost(darts.KINDS[0], 2, POOL)
        added = {
            (kind, strided): {
                name: _subtract(cost(kind, 2 if strided else 3, name), base)
                for name in darts.OPERATIONS
            }
            for kind in darts.KINDS
            for strided in (True, False)
        }
        options = {
            darts.edge_name(kind, node, source): added[kind, source < darts.INPUTS]
            for kind in darts.KINDS
            for node in darts.NODES
            for source in range(node)
        }
        return CostTable(space, base, options)

    def draw(self, space: DartsSpace, architecture: Architecture) -> str:
        return darts_svg(space, architecture)


def family_of(space: SearchSpace) -> CellFamily:
    """What the networks of a space are built with."""
    if isinstance(space, DartsSpace):
        return DartsCells()
    return GraphCells() if isinstance(space, GraphSpace) else EdgeCells()


def sizes_of(settings: CellSettings, shape: ImageShape) -> dict[str, Any]:
    """Keyword arguments of a network or a supernet."""
    return {
        "channels": settings.channels,
        "cells_per_stage": settings.cells_per_stage,
        "num_classes": shape.classes,
        "in_chans": shape.channels,
    }


def _subtract(some: dict[str, float], others: dict[str, float]) -> dict[str, float]:
    return {name: value - others[name] for name, value in some.items()}
