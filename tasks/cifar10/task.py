"""Cell search on small images, CIFAR-10 above all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageShape
from fewshot_core.description import as_supernet
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_core.training.classification import ClassificationTask
from fewshot_tasks.cifar10.darts import DartsSpace
from fewshot_tasks.cifar10.darts_network import DartsNetwork
from fewshot_tasks.cifar10.families import family_of
from fewshot_tasks.cifar10.graph import GraphSpace
from fewshot_tasks.cifar10.settings import DESCRIPTION, find_unread, make_space
from fewshot_tasks.cifar10.space import CellSpace

AUXILIARY = 0.4
"""Weight of the auxiliary head's loss."""


class CellTask(ClassificationTask):
    """Searches the cell that a small image classifier repeats."""

    description = DESCRIPTION

    def find_unread(self, recipe: Recipe) -> Iterator[Unread]:
        yield from super().find_unread(recipe)
        yield from find_unread(recipe)

    def compare(self, outputs: Any, targets: Tensor, label_smoothing: float) -> Tensor:
        """With the auxiliary head's loss, weighted as in DARTS, where a network has one."""
        if not isinstance(outputs, tuple):
            return super().compare(outputs, targets, label_smoothing)
        main, auxiliary = (
            super(CellTask, self).compare(o, targets, label_smoothing) for o in outputs
        )
        return main + AUXILIARY * auxiliary

    def result(self, network: nn.Module) -> nn.Module:
        if isinstance(network, DartsNetwork):
            network.auxiliary = None
        return network

    def space(self, recipe: Recipe) -> CellSpace | GraphSpace | DartsSpace:
        return make_space(recipe.network)

    def supernet(
        self, region: Region, recipe: Recipe, shape: ImageShape, *, partial: int = 1
    ) -> Supernet:
        settings = as_supernet(recipe.network)
        return family_of(region.space).supernet(region, settings, shape, partial)

    def network(self, architecture: Architecture, recipe: Recipe, shape: ImageShape) -> nn.Module:
        space = self.space(recipe)
        return family_of(space).network(space, architecture, recipe.network, shape)

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        space = self.space(recipe)
        return family_of(space).costs(space, recipe.network, shape)

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        return family_of(space).draw(space, architecture)

    def export_model(
        self, architecture: Architecture, recipe: Recipe, shape: ImageShape
    ) -> tuple[str, dict[str, Any], list[Path]]:
        space = self.space(recipe)
        arguments = {
            "genotype": space.genotype(architecture),
            "channels": recipe.network.channels,
            "cells_per_stage": recipe.network.cells_per_stage,
            "in_chans": shape.channels,
        }
        family = family_of(space)
        return family.model, arguments, [Path(str(file.__file__)) for file in family.files]


TASK = CellTask()
