"""``recipe=autogan`` at full size: two steps of every stage, scored by the real Inception network.

Its weights are random ones from a local file, so the figures mean nothing; the path is real.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from fewshot_core.costs.table import Limits
from fewshot_core.data import BatchStream, ImageArray, ImageData
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.console import Console
from fewshot_core.spaces.paths import make_paths
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters import SplitterContext, grow_tree
from fewshot_core.training.loop import Stage, train
from fewshot_tasks.autogan.task import TASK

AUTOGAN_A = "1,0,1,1,1,0,0,1,1,1,0,1,0,3"


@pytest.fixture
def data() -> ImageData:
    generator = torch.Generator().manual_seed(0)

    def array(count: int) -> ImageArray:
        images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator).byte()
        return ImageArray(images, torch.arange(count) % 2, ("a", "b"))

    test = array(4)
    half = (0.5,) * 3
    return ImageData("made-up", array(16), array(4), half, half, 4, lambda: test)


def test_the_space_and_what_it_costs(data: ImageData) -> None:
    recipe = load_recipe(["recipe=autogan"]).recipe
    space = TASK.space(recipe)
    assert space.size() == 373_248
    assert recipe.supernet.epochs + 3 * recipe.regions.epochs == pytest.approx(65 * 15, rel=0.1)
    table = TASK.costs(recipe, data.shape)
    costs = table.costs(space.parse(AUTOGAN_A))
    assert (costs["params"], costs["flops"]) == (4_405_251, 1_765_015_552)
    root = Region.root(space)
    assert table.total(table.cheapest(root, "params"))["params"] == pytest.approx(4.08e6, rel=2e-3)
    assert table.total(table.cheapest(root, "flops"))["flops"] == pytest.approx(1.59e9, rel=5e-3)
    assert Limits(flops=2e9).allow(costs)


def no_cost(architecture: Architecture) -> float:
    """What paths that do not look at costs are given."""
    raise AssertionError("a path policy asked for a cost")


@pytest.mark.slow
def test_two_steps_of_every_stage(
    data: ImageData, weights: Path, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = load_recipe(
        [
            "recipe=autogan",
            *(f"{stage}.batch_size=4" for stage in ("supernet", "regions", "retrain")),
            f"metric.weights={weights}",
            f"metric.cache={tmp_path / 'cache'}",
            "metric.splits=2",
            "metric.images=4",
            "metric.test_images=4",
            "metric.watch_images=0",
            "evaluator.recalibrate=8",
            "evaluator.batch_size=4",
        ]
    ).recipe

    def run(name: str, model: torch.nn.Module, settings: TrainingSettings, paths: object) -> None:
        stream = BatchStream(
            data.train, batch_size=settings.batch_size, seed=0, mean=data.mean, std=data.std
        )
        state = train(
            Stage(name, 2, 0, 1),
            model,
            lambda prepared: TASK.objective(prepared, settings, 2, accelerator),
            stream,
            paths,
            StageCheckpoint(tmp_path / name),
            accelerator,
            Console(False),
        )
        assert state.done

    root = Region.root(TASK.space(recipe))
    torch.manual_seed(0)
    parent = TASK.supernet(root, recipe, data.shape)
    run("parent", parent, recipe.supernet, make_paths(recipe.supernet.paths, root, no_cost))
    tree: RegionTree = grow_tree(root, recipe.split, SplitterContext(0))
    assert len(tree.leaves()) == 3
    leaf = tree.leaves()[2]
    child = TASK.supernet(leaf, recipe, data.shape)
    assert child.inherit_from(parent).fresh == ()
    run("child", child, recipe.regions, make_paths(recipe.regions.paths, leaf, no_cost))

    scorer = TASK.scorer(recipe, data, "validation", accelerator, tmp_path)
    architecture = leaf.sample(random.Random(0))
    figures = scorer.score(child, architecture)
    assert 1 - 1e-6 < figures["is"] < 1008
    assert figures["fid"] > 0

    network = TASK.network(root.space.parse(AUTOGAN_A), recipe, data.shape)
    assert sum(p.numel() for p in network.generator.parameters()) == 4_405_251
    assert sum(p.numel() for p in network.discriminator.parameters()) == 1_053_824
    run("network", network, recipe.retrain, None)
    scorer = TASK.scorer(recipe, data, "test", accelerator, tmp_path)
    assert {"is", "fid", "fid_train"} <= set(scorer.score(network, None))
    kept = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert [name.split("-32px")[0] for name in kept] == [
        "made-up-test", "made-up-train", "made-up-validation",
    ]  # fmt: skip
