"""Samples beside real images: as many of each, and nobody has chosen them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image

from fewshot_core.contexts import PictureContext
from fewshot_core.data import ImageData
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.spaces.region import Region
from fewshot_tasks.autogan.pictures import CURVE, find_moments, pictures
from fewshot_tasks.autogan.task import TASK


def watched(recipe: Recipe, data: ImageData, accelerator: Accelerator, folder: Path) -> Path:
    """What is drawn at two checkpoints of a training."""
    torch.manual_seed(0)
    root = Region.root(TASK.space(recipe))
    network = TASK.network(next(iter(root.enumerate())), recipe, data.shape)
    watch = TASK.watch(recipe, data, accelerator, folder)
    for step in (3, 9):
        watch(StageState(step=step), network, folder)
    return folder / "samples"


def test_as_many_real_images_stand_beside_the_samples(
    make_recipe: Callable[..., Recipe], data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = make_recipe(metric__watch_images=0)
    samples = watched(recipe, data, accelerator, tmp_path / "found")
    assert sorted(path.name for path in samples.iterdir()) == [
        "real.png", "step-00000003.png", "step-00000009.png",
    ]  # fmt: skip
    with Image.open(samples / "real.png") as real, Image.open(samples / "step-00000003.png") as one:
        assert real.size == one.size
        shown = {int(value) for value in np.unique(np.asarray(real))}
    known = {int(value) for value in torch.unique(data.train.pixels(torch.arange(len(data.train))))}
    assert shown <= known | {255}  # the margins are white
    again = watched(recipe, data, accelerator, tmp_path / "again")
    assert (again / "real.png").read_bytes() == (samples / "real.png").read_bytes()


def test_the_report_has_the_real_ones_and_what_was_trained_with_other_settings(
    make_recipe: Callable[..., Recipe], data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = make_recipe(metric__watch_images=0)
    folders = {"found, retrain.epochs=3": "changed", "found": "own", "random": "random"}
    for folder in folders.values():
        watched(recipe, data, accelerator, tmp_path / folder)
    (tmp_path / "changed" / "samples" / "real.png").unlink()

    def drawn(*labels: str) -> tuple[str, list[str]]:
        stages = {one: StageCheckpoint(tmp_path / folders[one], writes=False) for one in labels}
        context = PictureContext(recipe, {}, stages)
        caption, figure = next((c, f) for name, c, f in pictures(context) if name == "samples")
        return caption, [axes.get_title(loc="left") for axes in figure.axes]

    caption, titles = drawn("found, retrain.epochs=3", "found", "random")
    assert titles == ["found by the search", "random architecture", "real"]
    assert "Real: training images drawn at random" in caption
    caption, titles = drawn("found, retrain.epochs=3")
    assert titles == ["found by the search,\nretrain.epochs=3"]
    assert "Real" not in caption


def test_what_a_training_made_at_its_moments(
    make_recipe: Callable[..., Recipe], data: ImageData, accelerator: Accelerator, tmp_path: Path
) -> None:
    recipe = make_recipe(metric__watch_images=0)
    watched(recipe, data, accelerator, tmp_path / "random")
    (tmp_path / "found").mkdir()
    stages = {one: StageCheckpoint(tmp_path / one) for one in ("found", "random")}
    stages["random"].finish(StageState(9, 9, notes={CURVE: [[9, 12.34, 5.678]]}), {})
    found = TASK.moments(PictureContext(recipe, {}, stages))
    assert found is not None  # of the generator that was drawn
    assert "random architecture" in found.caption
    assert found == find_moments(PictureContext(recipe, {}, stages))
    assert [one.step for one in found.moments] == [3, 9]
    assert found.moments[0].text == ""
    assert found.moments[1].text.startswith("FID 12.3, IS 5.68 (classifier, 0 images against")
    assert found.real == tmp_path / "random" / "samples" / "real.png"
    (tmp_path / "random" / "samples" / "step-00000003.png").unlink()
    assert TASK.moments(PictureContext(recipe, {}, stages)) is None
