from __future__ import annotations

import pytest
import torch

from fewshot_core.data import ImageShape
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.region import Region
from fewshot_core.task import Task
from fewshot_core.testing.tasks import TaskSuite
from fewshot_tasks.cifar10.task import TASK

WORDS = ["recipe=digits", "network.channels=4", "network.cells_per_stage=1"]


class TestCells(TaskSuite):
    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def recipe(self) -> Recipe:
        return load_recipe([*WORDS, "network.supernet_affine=true"]).recipe


class TestCellsOfAnotherSize(TestCells):
    """A supernet that is narrower and shallower than what is trained in the end."""

    same_size = False

    @pytest.fixture
    def recipe(self) -> Recipe:
        words = ["network.channels=6", "network.supernet_channels=4", "network.cells_per_stage=1"]
        return load_recipe(["recipe=digits", *words]).recipe


def test_a_supernet_has_its_own_channels_and_cells() -> None:
    words = ["network.cells_per_stage=3", "network.supernet_cells_per_stage=2"]
    recipe = load_recipe([*WORDS[:2], *words, "network.supernet_channels=2"]).recipe
    space, shape = TASK.space(recipe), ImageShape(1, 8, 10)
    supernet = TASK.supernet(Region.root(space), recipe, shape)
    assert [len(stage) for stage in supernet.net.stages] == [2, 2, 2]
    assert supernet.net.num_features == 8
    network = TASK.network(next(space.enumerate()), recipe, shape)
    assert [len(stage) for stage in network.stages] == [3, 3, 3]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert network.num_features == 16
