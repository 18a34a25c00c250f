"""The suite of tasks has to fail for a task whose parts do not agree."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageShape
from fewshot_core.description import Description
from fewshot_core.metrics import ACCURACY, Metric
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, Option, SearchSpace
from fewshot_core.testing.tasks import TaskSuite
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.objective import Objective
from fewshot_tasks.cifar10.settings import DESCRIPTION, CellSettings
from fewshot_tasks.cifar10.space import CellSpace, nasbench201
from fewshot_tasks.cifar10.supernet import CellSupernet
from fewshot_tasks.cifar10.task import CellTask

SHAPE = ImageShape(1, 8, 4)


class Forgets(CellTask):
    """Its metrics lack one that is measured."""

    description = Description(DESCRIPTION.sections, (ACCURACY,))


class Invents(CellTask):
    """It declares a score that nobody measures."""

    description = Description(DESCRIPTION.sections, (*DESCRIPTION.metrics, Metric("speed")))


class Undercounts(CellTask):
    """Its costs are of other networks."""

    def costs(self, recipe: Recipe, shape: ImageShape) -> CostTable:
        return super().costs(recipe, ImageShape(shape.channels, shape.image_size, 2))


class Deep(CellTask):
    """Its supernet is deeper than its networks, and nothing says so."""

    def supernet(
        self, region: Region, recipe: Recipe, shape: ImageShape, *, partial: int = 1
    ) -> CellSupernet:
        deeper = {"network.cells_per_stage": recipe.network.cells_per_stage + 1}
        return super().supernet(region, with_values(recipe, deeper), shape, partial=partial)


class Lost(CellSpace):
    def derive(self, preferences: Mapping[str, Mapping[Option, float]]) -> Architecture:
        return Architecture(self.name, ("max_pool",) * len(self.decisions))


class Astray(CellTask):
    """It derives what is not in its space."""

    def space(self, recipe: Recipe) -> CellSpace:
        space = nasbench201()
        return Lost(space.name, space.decisions, nodes=space.nodes)


class Amnesiac(ClassificationObjective):
    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": copy.deepcopy(self.initial)}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.initial = self.optimizer.state_dict()


class Restarts(CellTask):
    """Its optimiser begins anew where a training goes on."""

    def objective(
        self, model: nn.Module, settings: TrainingSettings, steps: int, accelerator: Accelerator
    ) -> Objective:
        return Amnesiac(model, settings, steps, accelerator)


class Detached(CellTask):
    """Its loss has no gradient."""

    def compare(self, outputs: Any, targets: Tensor, label_smoothing: float) -> Tensor:
        return super().compare(outputs, targets, label_smoothing).detach().requires_grad_()


class Scribbles(CellTask):
    """Its pictures are none."""

    def draw(self, space: SearchSpace, architecture: Architecture) -> str:
        return "<p></p>"


class Picky(CellTask):
    """It refuses every recipe."""

    def check_recipe(self, recipe: Recipe) -> Any:
        yield "no"


class Cells(TaskSuite):
    """The suite without pytest: tests are called with what their fixtures would be."""

    def run(self, name: str, task: CellTask, folder: Path) -> None:
        words = ["recipe=digits", "network.channels=4", "network.supernet_affine=true"]
        recipe = load_recipe(words).recipe
        space = task.space(recipe)

        def make_supernet(region: Region, seed: int) -> CellSupernet:
            torch.manual_seed(seed)
            return task.supernet(region, recipe, SHAPE)

        values: dict[str, Any] = {
            "task": task,
            "recipe": recipe,
            "shape": SHAPE,
            "space": space,
            "make_supernet": make_supernet,
            "inputs": torch.randn(3, 1, 8, 8),
            "accelerator": Accelerator(cpu=True),
            "architectures": [space.parse(ONE)],
            "tmp_path": folder,
        }
        for fixture, given in (("data", ("task", "shape")), ("models", MODELS)):
            make = _plain(getattr(TaskSuite, fixture))
            values[fixture] = make(self, *(values[name] for name in given))
        test = getattr(self, name)
        code = test.__func__.__code__
        test(*(values[argument] for argument in code.co_varnames[1 : code.co_argcount]))


MODELS = ("task", "recipe", "space", "shape", "make_supernet")
ONE = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"


def _plain(fixture: Any) -> Callable[..., Any]:
    found: Callable[..., Any] = fixture.__wrapped__
    return found


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Forgets, "test_it_measures_what_it_declares"),
        (Invents, "test_it_measures_what_it_declares"),
        (Undercounts, "test_costs_are_those_of_its_networks"),
        (Deep, "test_its_supernet_holds_its_networks"),
        (Astray, "test_what_a_relaxation_prefers_is_in_the_space"),
        (Restarts, "test_training_goes_on_where_it_stopped"),
        (Detached, "test_its_loss_has_a_gradient"),
        (Detached, "test_a_step_trains"),
        (Scribbles, "test_pictures_are_svg"),
        (Picky, "test_it_has_nothing_against_its_recipe"),
    ],
)
def test_a_broken_task_fails(task: type[CellTask], name: str, tmp_path: Path) -> None:
    Cells().run(name, CellTask(), tmp_path / "whole")
    with pytest.raises((AssertionError, RuntimeError)):
        Cells().run(name, task(), tmp_path / "broken")


def test_the_fixtures_have_to_be_supplied() -> None:
    assert CellSettings is DESCRIPTION.sections["network"]
    for fixture in ("task", "recipe"):
        with pytest.raises(NotImplementedError, match=fixture):
            _plain(getattr(TaskSuite, fixture))(TaskSuite())
