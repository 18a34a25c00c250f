from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.recipe.schema import Recipe
from fewshot_core.task import Task
from fewshot_core.testing.tasks import TaskSuite
from fewshot_tasks.autogan.task import TASK


class TestGenerators(TaskSuite):
    same_size = False

    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def recipe(self, make_recipe: Callable[..., Recipe]) -> Recipe:
        return make_recipe(network__supernet_channels=3)

    @pytest.fixture
    def inputs(self, recipe: Recipe) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(3, recipe.network.latent, generator=generator)

    def result(self, network: nn.Module) -> nn.Module:
        found: nn.Module = network.result  # type: ignore[assignment]
        return found
