"""Cell search on small images, CIFAR-10 above all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from fewshot_core.costs.table import CostTable, measure
from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError, nearest
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread, of_supernets
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.training.classification import ClassificationTask
from tasks.cifar10 import network
from tasks.cifar10.draw import cell_svg
from tasks.cifar10.settings import DESCRIPTION
from tasks.cifar10.space import OPERATIONS, CellSpace, nasbench201
from tasks.cifar10.supernet import CellSupernet

SPACES = {"nasbench201": nasbench201}


class CellTask(ClassificationTask):
    """Searches the cell that a small image classifier repeats."""

    name = "cifar10"
    settings = DESCRIPTION.settings

    def space(self, recipe: Recipe) -> SearchSpace:
        name = recipe.network.space
        if name not in SPACES:
            raise RecipeError(
                f"network.space={name} is unknown",
                allowed=", ".join(SPACES),
                fix=nearest(name, SPACES) or None,
            )
        return SPACES[name]()

    def unread(self, recipe: Recipe) -> Iterator[Unread]:
        yield from super().unread(recipe)
        yield from of_supernets("network.supernet_affine", recipe)

    def supernet(self, region: Region, recipe: Recipe, shape: ImageShape) -> CellSupernet:
        return CellSupernet(
            region,
            affine=recipe.network.supernet_affine,
            partial=recipe.preferences.partial if recipe.strategy.name == "pcdarts" else 1,
            **_arguments(recipe, shape),
        )

    def network(self, architecture: Architecture, recipe: Recipe, shape: ImageShape) -> nn.Module:
        genotype = self.space(recipe).genotype(architecture)
        return network.CellNetwork(genotype, **_arguments(recipe, shape))

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        """Exact, because the cost of an operation depends on nothing but the operation.

        Five small networks are measured: one without operations, and one for each operation.
        """
        space = self.space(recipe)
        assert isinstance(space, CellSpace)

        def cost(operation: str) -> dict[str, float]:
            # On the edge from input to output: fvcore does not see what leads nowhere.
            direct = space.edges.index((space.nodes - 1, 0))
            choices = ["none"] * len(space.edges)
            choices[direct] = operation
            genotype = space.genotype(Architecture(space.name, tuple(choices)))
            return measure(
                network.CellNetwork(genotype, **_arguments(recipe, shape)), shape.input_size
            )

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


def _arguments(recipe: Recipe, shape: ImageShape) -> dict[str, Any]:
    for name in ("channels", "cells_per_stage"):
        if getattr(recipe.network, name) < 1:
            raise RecipeError(f"network.{name}={getattr(recipe.network, name)} must be at least 1")
    return {
        "channels": recipe.network.channels,
        "cells_per_stage": recipe.network.cells_per_stage,
        "num_classes": shape.classes,
        "in_chans": shape.channels,
    }


TASK = CellTask()
