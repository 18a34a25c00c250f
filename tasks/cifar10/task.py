"""Cell search on small images, CIFAR-10 above all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from fewshot_core.costs.table import CostTable, measure
from fewshot_core.data import ImageShape
from fewshot_core.description import as_supernet
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.training.classification import ClassificationTask
from tasks.cifar10 import network
from tasks.cifar10.draw import cell_svg
from tasks.cifar10.settings import (
    DESCRIPTION,
    CellSettings,
    find_unread,
    make_space,
)
from tasks.cifar10.space import OPERATIONS, CellSpace
from tasks.cifar10.supernet import CellSupernet


class CellTask(ClassificationTask):
    """Searches the cell that a small image classifier repeats."""

    description = DESCRIPTION

    def find_unread(self, recipe: Recipe) -> Iterator[Unread]:
        yield from super().find_unread(recipe)
        yield from find_unread(recipe)

    def space(self, recipe: Recipe) -> CellSpace:
        return make_space(recipe.network)

    def supernet(
        self, region: Region, recipe: Recipe, shape: ImageShape, *, partial: int = 1
    ) -> CellSupernet:
        settings = as_supernet(recipe.network)
        return CellSupernet(
            region,
            affine=settings.supernet_affine,
            partial=partial,
            **_arguments(settings, shape),
        )

    def network(self, architecture: Architecture, recipe: Recipe, shape: ImageShape) -> nn.Module:
        cell = self.space(recipe).cell(architecture)
        return network.CellNetwork(cell, **_arguments(recipe.network, shape))

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        """Exact, because the cost of an operation depends on nothing but the operation.

        Five small networks are measured: one without operations, and one for each operation.
        """
        space = self.space(recipe)

        def cost(operation: str) -> dict[str, float]:
            # On the edge from input to output: fvcore does not see what leads nowhere.
            direct = space.edges.index((space.nodes - 1, 0))
            choices = ["none"] * len(space.edges)
            choices[direct] = operation
            architecture = Architecture(space.name, tuple(choices))
            return measure(self.network(architecture, recipe, shape), shape.input_size)

        base = cost("none")
        added = {
            operation: {name: value - base[name] for name, value in cost(operation).items()}
            for operation in OPERATIONS
        }
        return CostTable(space, base, {d.name: dict(added) for d in space.decisions})

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        assert isinstance(space, CellSpace)
        return cell_svg(space, architecture)

    def export_model(
        self, architecture: Architecture, recipe: Recipe, shape: ImageShape
    ) -> tuple[str, dict[str, Any], Path]:
        arguments = {
            "genotype": self.space(recipe).genotype(architecture),
            "channels": recipe.network.channels,
            "cells_per_stage": recipe.network.cells_per_stage,
            "in_chans": shape.channels,
        }
        return "nasbench201_cell", arguments, Path(network.__file__)


def _arguments(settings: CellSettings, shape: ImageShape) -> dict[str, Any]:
    return {
        "channels": settings.channels,
        "cells_per_stage": settings.cells_per_stage,
        "num_classes": shape.classes,
        "in_chans": shape.channels,
    }


TASK = CellTask()
