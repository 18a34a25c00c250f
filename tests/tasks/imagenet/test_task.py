from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest
import torch

from fewshot_core.data import ImageShape
from fewshot_core.plugins import plugin
from fewshot_core.recipe.declare import check_values, with_values
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe, recipe_type
from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.region import Region
from fewshot_core.task import Task
from fewshot_core.testing.tasks import TaskSuite
from fewshot_tasks.imagenet.draw import network_svg
from fewshot_tasks.imagenet.settings import DESCRIPTION, MobileSettings, make_space
from fewshot_tasks.imagenet.space import MobileSpace
from fewshot_tasks.imagenet.task import TASK
from tests.tasks.imagenet.spaces import FULL, SMALL

SHAPE = ImageShape(3, 32, 10)


def recipe(**settings: object) -> Recipe:
    network = MobileSettings(**settings)  # type: ignore[arg-type]
    return recipe_type(DESCRIPTION.sections)(task="imagenet", network=network)


# --- settings


def test_the_defaults_are_the_spaces_of_the_papers() -> None:
    assert make_space(MobileSettings(), None) == FULL["ofa"]
    assert make_space(MobileSettings(width=1.2), None) == FULL["ofa at 1.2"]
    assert make_space(MobileSettings(space="proxyless"), None) == FULL["proxyless"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"space": "ofa_mbv2"}, "did you mean 'ofa_mbv3'"),
        ({"width": 0}, "network.width"),
        ({"depths": []}, "network.depths"),
        ({"depths": [1, 99]}, "network.depths"),
        ({"blocks": 0, "space": "proxyless"}, "network.blocks"),
        ({"kernels": [2]}, "network.kernels"),
        ({"expansions": [6, 3]}, "network.expansions"),
        ({"units": [9]}, "network.units"),
        ({"strides": [1]}, "network.strides"),
        ({"stem_stride": 4}, "network.stem_stride"),
        ({"head": 1}, "network.head"),
        ({"drop_rate": 1.0}, "network.drop_rate"),
        ({"drop_path_rate": -0.1}, "network.drop_path_rate"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, problem: str) -> None:
    made = recipe(**settings)
    (found,) = [*check_values(made.network, "network"), *TASK.check_recipe(made)]
    assert problem in found
    assert "\n" not in found


def test_scores_without_recalibration_are_refused() -> None:
    (problem,) = TASK.check_recipe(with_values(recipe(), {"evaluator.recalibrate": 0}))
    assert "evaluator.recalibrate=0" in problem
    synflow = plugin("evaluator", "synflow").default()  # no supernet, no statistics
    assert not list(TASK.check_recipe(with_values(recipe(), {"evaluator": synflow})))


# --- recipes


@pytest.mark.parametrize(
    ("name", "size", "channels", "lowest", "highest"),
    [("mobile_cifar", 32, 3, 1e6, 8e6), ("mobile_digits", 8, 1, 2e5, 1e6)],
)
def test_a_lab_space_has_networks_of_the_size_it_names(
    name: str, size: int, channels: int, lowest: float, highest: float
) -> None:
    loaded = load_recipe([f"recipe={name}"]).recipe
    space = TASK.space(loaded)
    table = TASK.costs(loaded, ImageShape(channels, size, 10))
    root = Region.root(space)

    def flops(architecture) -> float:  # type: ignore[no-untyped-def]
        return table.costs(architecture)["flops"]

    least, most = extreme(root, lambda a: -flops(a)), extreme(root, flops)
    assert lowest < flops(least) < loaded.constraint.flops < flops(most) < highest


class TestElastic(TaskSuite):
    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def recipe(self) -> Recipe:
        return load_recipe(["recipe=mobile_digits", "network.width=0.5"]).recipe


class TestOperations(TestElastic):
    @pytest.fixture
    def recipe(self) -> Recipe:
        words = ["network.space=proxyless", "network.units=[1,2]", "network.strides=[2,1]"]
        return load_recipe(["recipe=mobile_digits", *words], drop_unread=True).recipe


class TestMacro(TestElastic):
    @pytest.fixture
    def recipe(self) -> Recipe:
        words = ["network.space=nasbench_macro", "network.width=0.25"]
        return load_recipe(["recipe=mobile_digits", *words], drop_unread=True).recipe


class TestFbnet(TestElastic):
    @pytest.fixture
    def recipe(self) -> Recipe:
        words = ["network.space=fbnet", "network.width=0.5", "network.units=[1,2]"]
        words += ["network.strides=[1,2]"]
        return load_recipe(["recipe=mobile_digits", *words], drop_unread=True).recipe


def test_stochastic_depth_is_for_networks_and_not_for_the_supernet() -> None:
    settings = recipe(width=0.25, head=32, drop_path_rate=0.2, drop_rate=0.1)
    space = TASK.space(settings)
    architecture = extreme(Region.root(space), lambda a: float(len(str(space.arch_def(a)))))
    network = TASK.network(architecture, settings, SHAPE)
    assert "DropPath" in {type(module).__name__ for module in network.modules()}
    assert network.drop_rate == 0.1
    supernet = TASK.supernet(Region.root(space), settings, SHAPE).train()
    images = torch.randn(2, 3, 32, 32)
    torch.manual_seed(0)
    one = supernet(images, architecture)
    torch.manual_seed(1)
    assert not torch.equal(one, supernet(images, architecture))  # dropout


# --- pictures


@pytest.mark.parametrize("name", [*FULL, "small"])
def test_a_picture_shows_every_block(name: str) -> None:
    space: MobileSpace = FULL.get(name) or SMALL["proxyless"]
    for seed in range(5):
        architecture = space.sample(random.Random(seed))
        picture = ElementTree.fromstring(network_svg(space, architecture))
        blocks = [block for unit in space.units(architecture) for _, block in unit]
        boxes = [e for e in picture.iter() if e.tag.endswith("rect")]
        texts = [e.text for e in picture.iter() if e.tag.endswith("text")]
        assert len(boxes) == len(blocks)
        expected = [
            f"e{block.expansion}" + (" g2" if block.groups == 2 else "")
            for block in blocks
            if block.expansion
        ]
        assert [t for t in texts if t and t.startswith("e")] == expected
        right = max(float(e.get("x", 0)) + float(e.get("width", 0)) for e in boxes)
        assert right <= float(picture.get("width", 0))
