"""CIFAR-10, and networks of published tables with their true accuracies on it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageShape
from fewshot_core.pipeline.rank import Truth
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.space import Architecture
from fewshot_core.tasks import load_task
from fewshot_core.trust.scores import read_table
from fewshot_core.trust.values import read_values

COLUMNS = ("cifar10", "cifar100")
"""Columns of the table of true accuracies."""

TABLE = "nasbench201/accuracies.csv"
"""The table of true accuracies in a folder of data sets."""

SMALL_IMAGES = ("recipe=nasbench201", "data.image_size=16", "data.pad=2", "data.source=images")
"""CIFAR-10 in 16 pixels, of which a thread sees more in a second."""


def places_of(data: Path) -> tuple[str, ...]:
    """Settings that name the CIFAR-10 images in a folder of data sets."""
    parts = (("root", "train.tar"), ("test_root", "test.tar"))
    return tuple(f"data.{key}={data / 'cifar10' / name}" for key, name in parts)


def costs_of(recipe: Recipe) -> CostTable:
    """The cost table of the recipe's networks."""
    shape = ImageShape(3, recipe.data.image_size or 32, 10)
    return load_task(recipe.task).costs(recipe, shape)


def read_networks(words: Sequence[str], table: Path, column: str) -> dict[Architecture, float]:
    """Distinct connected networks of a table with their true values, in the order of their ids.

    Args:
        words: Settings of a recipe of their space.
        table: A CSV file.
        column: Its column of true values.
    """
    recipe = load_recipe(words, drop_unread=True).recipe
    space = load_task(recipe.task).space(recipe)
    values = read_values(space, table, column).of
    return {
        a: values[a]
        for a in sorted(values, key=lambda a: a.id)
        if space.canonical(a) == a and space.connected(a) is not None
    }


@dataclass(frozen=True)
class Cells:
    """Rows of the table that predictors are ranked on.

    Attributes:
        table: The table, a CSV file with the columns ``arch`` and :data:`COLUMNS`.
        count: Number of rows, drawn once; None: all.
        iso_minimum: Smallest group of equal cost among drawn ones.
    """

    table: Path
    count: int | None
    iso_minimum: int = 10

    def truth(self, column: str, costs: CostTable) -> Truth:
        """The rows with their true values and costs."""
        if self.count is None:
            return Truth.read(self.table, column, costs.space, costs)
        rows = sorted(read_table(self.table, column))
        only = set(random.Random(0).sample(rows, self.count))
        return Truth.read(
            self.table, column, costs.space, costs, only=only, iso_minimum=self.iso_minimum
        )
