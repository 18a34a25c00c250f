"""What every task has to do: its parts agree with each other."""

from __future__ import annotations

import copy
import dataclasses
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import timm
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.costs.table import MEASURES, measure
from fewshot_core.data import Batch, ImageArray, ImageData, ImageShape
from fewshot_core.data.stream import EvalBatches
from fewshot_core.metrics import HIGHER, LOWER
from fewshot_core.recipe.loose import loose_type
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.supernet import Supernet
from fewshot_core.task import Task
from fewshot_core.testing.spaces import some_architectures

PARTS = ("validation", "test")

MakeSupernet = Callable[[Region, int], Supernet]
Models = dict[str, tuple[nn.Module, TrainingSettings, Architecture | None]]
"""What is trained by name: with its settings, and the architecture that is run, if any."""


class TaskSuite:
    """Tests of a :class:`Task`; supply the fixtures ``task`` and ``recipe``.

    The recipe is one of the task's, as small as it can be. What
    :class:`fewshot_core.testing.spaces.SpaceSuite` and
    :class:`fewshot_core.testing.supernets.SupernetSuite` say of the task's space and supernet is
    not repeated here. Override ``shape`` where the recipe's images have another number of channels,
    and ``inputs`` and :meth:`result` where networks do not take images.
    """

    same_size = True
    """Whether a supernet of the recipe has the size of the networks that are trained in the end."""

    light = True
    """Whether the settings can be imported without torch; a task in one file has them with it."""

    samples = 4
    """Random architectures that parts are compared for."""

    @pytest.fixture
    def task(self) -> Task:
        """The task under test."""
        raise NotImplementedError("a subclass supplies the fixture `task`")

    @pytest.fixture
    def recipe(self) -> Recipe:
        """A small recipe of the task."""
        raise NotImplementedError("a subclass supplies the fixture `recipe`")

    @pytest.fixture
    def shape(self, recipe: Recipe) -> ImageShape:
        """Channels, size and classes of the images."""
        return ImageShape(1, recipe.data.image_size or 8, 4)

    @pytest.fixture
    def inputs(self, shape: ImageShape) -> Tensor:
        """What a network takes, ``[B, ...]``."""
        return torch.randn(3, *shape.input_size, generator=torch.Generator().manual_seed(0))

    @pytest.fixture
    def data(self, task: Task, shape: ImageShape) -> ImageData:
        """Images whose class is their brightness; the parts differ."""
        generator = torch.Generator().manual_seed(0)

        def array(count: int) -> ImageArray:
            labels = torch.arange(count) % shape.classes
            noise = torch.randint(0, 60, (count, *shape.input_size), generator=generator)
            names = tuple(map(str, range(shape.classes)))
            return ImageArray((noise + 40 * labels[:, None, None, None]).byte(), labels, names)

        mean, std = ((value,) * shape.channels for value in task.normalisation or (0.5, 0.3))
        test = array(48)
        return ImageData("made-up", array(96), array(64), mean, std, len(test), lambda: test)

    @pytest.fixture
    def accelerator(self) -> Accelerator:
        """One process on the CPU."""
        return Accelerator(cpu=True)

    @pytest.fixture
    def space(self, task: Task, recipe: Recipe) -> SearchSpace:
        """The space of the recipe."""
        return task.space(recipe)

    @pytest.fixture
    def architectures(self, space: SearchSpace) -> list[Architecture]:
        """Random architectures, and those of all first and all last options."""
        return some_architectures(space, self.samples)

    @pytest.fixture
    def make_supernet(self, task: Task, recipe: Recipe, shape: ImageShape) -> MakeSupernet:
        """The task's supernet of a region, from a seed."""

        def make(region: Region, seed: int) -> Supernet:
            torch.manual_seed(seed)
            return task.supernet(region, recipe, shape)

        return make

    # -- what it says ------------------------------------------------------------------------

    def test_its_description_needs_no_torch(self, task: Task) -> None:
        """A recipe with a misspelt setting is refused before torch is imported."""
        if not self.light:
            pytest.skip("the settings are in a module that imports torch")
        module = task.description.sections["network"].__module__
        code = f"import sys, {module}; print('torch' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"

    def test_its_sections_are_those_of_its_recipe(self, task: Task, recipe: Recipe) -> None:
        for name, section in task.description.sections.items():
            assert dataclasses.is_dataclass(section)
            assert isinstance(getattr(recipe, name), section)
        assert set(task.description.scoring) <= set(task.description.sections)

    def test_it_has_nothing_against_its_recipe(self, task: Task, recipe: Recipe) -> None:
        assert list(task.check_recipe(recipe)) == []

    def test_what_it_leaves_unread_is_a_setting(self, task: Task, recipe: Recipe) -> None:
        for unread in task.find_unread(recipe):
            # It may be one that only plug-ins read which this recipe does not choose.
            found: Any = loose_type(task.description.sections)()
            for name in unread.key.split("."):
                assert hasattr(found, name), unread.key
                found = getattr(found, name)

    def test_its_metrics_have_names_and_a_direction(self, task: Task, recipe: Recipe) -> None:
        metrics = task.description.metrics
        assert len({metric.name for metric in metrics}) == len(metrics)
        assert task.description.scores
        for metric in metrics:
            assert metric.better in (HIGHER, LOWER)
            assert all(task.name_metric(metric, recipe, part) for part in PARTS)

    # -- how its parts agree -----------------------------------------------------------------

    def test_costs_are_those_of_its_networks(
        self,
        task: Task,
        recipe: Recipe,
        shape: ImageShape,
        architectures: list[Architecture],
        inputs: Tensor,
    ) -> None:
        table = task.costs(recipe, shape)
        for architecture in architectures:
            network = self.result(task.network(architecture, recipe, shape))
            costs = table.costs(architecture)
            measured = measure(network, tuple(inputs.shape[1:]))
            assert measured == {name: costs[f"connected_{name}"] for name in MEASURES}

    def test_its_supernet_holds_its_networks(
        self,
        task: Task,
        recipe: Recipe,
        shape: ImageShape,
        make_supernet: MakeSupernet,
        architectures: list[Architecture],
        inputs: Tensor,
    ) -> None:
        supernet = make_supernet(Region.root(task.space(recipe)), 0).eval()
        for architecture in architectures:
            taken = supernet.extract(architecture)
            network = self.result(task.network(architecture, recipe, shape))
            mine, theirs = _shapes(taken), _shapes(network)
            assert mine == theirs if self.same_size else set(mine) <= set(theirs)
            with torch.no_grad():
                assert torch.equal(supernet(inputs, architecture), taken(inputs))

    def test_weights_follow_torchs_seed(
        self, space: SearchSpace, make_supernet: MakeSupernet
    ) -> None:
        root = Region.root(space)
        one, same, other = (_tensors(make_supernet(root, seed)) for seed in (1, 1, 2))
        assert _equal(one, same)
        assert not _equal(one, other)

    def test_a_region_inherits(
        self, space: SearchSpace, make_supernet: MakeSupernet, inputs: Tensor
    ) -> None:
        root = Region.root(space)
        free = next(d for d in space.decisions if len(d.options) > 1)
        region = root.restrict(free.name, free.options[-1:])
        parent, child = make_supernet(root, 1).eval(), make_supernet(region, 2).eval()
        assert child.inherit_from(parent).fresh == ()
        architecture = region.sample(random.Random(0))
        with torch.no_grad():
            assert torch.equal(child(inputs, architecture), parent(inputs, architecture))

    def test_what_a_relaxation_prefers_is_in_the_space(
        self, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        rng = random.Random(0)
        for architecture in architectures:
            drawn = {d.name: {o: -rng.random() for o in d.options} for d in space.decisions}
            assert space.contains(space.derive(drawn))
            decided = {
                decision.name: {o: 0.0 if o == choice else -9.0 for o in decision.options}
                for decision, choice in zip(space.decisions, architecture.choices, strict=True)
            }
            assert space.canonical(space.derive(decided)) == space.canonical(architecture)

    def test_pictures_are_svg(
        self, task: Task, space: SearchSpace, architectures: list[Architecture]
    ) -> None:
        for architecture in architectures:
            assert ElementTree.fromstring(task.draw(space, architecture)).tag.endswith("svg")

    def test_timm_builds_what_it_exports(
        self,
        task: Task,
        recipe: Recipe,
        shape: ImageShape,
        architectures: list[Architecture],
    ) -> None:
        for architecture in architectures:
            model = task.export_model(architecture, recipe, shape)
            if model is None:
                assert type(task).hand_over is not Task.hand_over, "nothing can be exported"
                continue
            name, arguments, sources = model
            assert sources
            assert all(Path(source).is_file() for source in sources)
            built = timm.create_model(name, num_classes=shape.classes, **arguments)
            network = self.result(task.network(architecture, recipe, shape))
            assert _shapes(built) == _shapes(network)

    # -- trainings and scores ----------------------------------------------------------------

    def test_a_step_trains(
        self,
        task: Task,
        models: Models,
        data: ImageData,
        accelerator: Accelerator,
    ) -> None:
        for name, (model, settings, architecture) in models.items():
            before = [parameter.detach().clone() for parameter in model.parameters()]
            objective = task.objective(model.train(), settings, 3, accelerator)
            logged = objective.step(_batch(data), [architecture], 0)
            assert logged
            assert all(math.isfinite(float(value)) for value in logged.values()), name
            moved = zip(before, model.parameters(), strict=True)
            assert not all(torch.equal(old, new) for old, new in moved), name

    def test_training_goes_on_where_it_stopped(
        self,
        task: Task,
        models: Models,
        data: ImageData,
        accelerator: Accelerator,
    ) -> None:
        for name, (model, settings, architecture) in models.items():
            again = copy.deepcopy(model)
            objective = task.objective(model.train(), settings, 4, accelerator)
            for step in range(2):
                torch.manual_seed(step)
                objective.step(_batch(data), [architecture], step)
            weights, state = _tensors(model), copy.deepcopy(objective.state_dict())
            torch.manual_seed(2)
            objective.step(_batch(data), [architecture], 2)
            again.load_state_dict(weights)
            objective = task.objective(again.train(), settings, 4, accelerator)
            objective.load_state_dict(state)
            torch.manual_seed(2)
            objective.step(_batch(data), [architecture], 2)
            assert _equal(_tensors(model), _tensors(again)), name

    def test_its_loss_has_a_gradient(
        self,
        task: Task,
        models: Models,
        data: ImageData,
        accelerator: Accelerator,
    ) -> None:
        for name, (model, _, architecture) in models.items():
            loss = task.loss(model.train(), _batch(data), architecture, accelerator)
            assert loss.shape == ()
            loss.backward()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            assert any(float(gradient.abs().max()) > 0 for gradient in gradients), name

    def test_it_measures_what_it_declares(
        self,
        task: Task,
        recipe: Recipe,
        models: Models,
        data: ImageData,
        accelerator: Accelerator,
        tmp_path: Path,
    ) -> None:
        task.check_measurable(recipe, data, accelerator)
        for part, (model, _, architecture) in zip(PARTS, models.values(), strict=True):
            scorer = task.scorer(recipe, data, part, accelerator, tmp_path)
            found = scorer.score(model.eval(), architecture)
            assert set(task.description.scores) <= set(found), part
            assert task.description.metric.name in found
            assert set(found) <= {metric.name for metric in task.description.metrics}, part
            if isinstance(model, Supernet) and architecture is not None:
                assert scorer.price(1.0) == 1.0
                assert dict(scorer.score_many(model, [architecture])) == {architecture: found}

    @pytest.fixture
    def models(
        self,
        task: Task,
        recipe: Recipe,
        space: SearchSpace,
        shape: ImageShape,
        make_supernet: MakeSupernet,
    ) -> Models:
        """A supernet and a network: how each is trained, and which architecture is run."""
        architecture = space.sample(random.Random(0))
        supernet = make_supernet(Region.root(space), 3)
        network = task.network(architecture, recipe, shape)
        return {
            "supernet": (supernet, recipe.supernet, architecture),
            "network": (network, recipe.retrain, None),
        }

    # -- tools -------------------------------------------------------------------------------

    def result(self, network: nn.Module) -> nn.Module:
        """What of :meth:`Task.network` is handed over; by default all of it."""
        return network


def _batch(data: ImageData) -> Batch:
    batches = EvalBatches(data.train, 16, data.mean, data.std)
    return next(iter(batches))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _equal(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)
