"""Whether the batches of a recipe can be divided and normalised, before anything is trained."""

from __future__ import annotations

import torch

from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.regions import learns_split
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.training import build
from fewshot_core.recipe.schema import recalibration_images
from fewshot_core.recipe.trainings import RetrainSettings, SupernetSettings, TrainingSettings
from fewshot_core.spaces.space import Architecture

SECTIONS = ("supernet", "regions", "retrain")


def check_batches(run: Run, architecture: Architecture) -> None:
    """Find batches that processes cannot share, or that leave batch norm a single value.

    Args:
        run: The run.
        architecture: Any one; its feature maps are as large as those of all others.

    Raises:
        RecipeError: There is one.
    """
    recipe, world = run.recipe, run.worker.num_processes
    used = _sections_in_use(run)
    for key in used:
        _check_share(key, getattr(recipe, key), world)
    if run.task.generates:
        return  # generators have maps of four pixels or more
    for key in SECTIONS:
        training: TrainingSettings = getattr(recipe, key)
        shape = (run.images.data() if key == "retrain" else run.images.search_data()).shape
        if training.batch_size == 1:  # batch norm sees the images of all processes
            _require_variance(run, architecture, shape, f"{key}.batch_size=1")
        elif isinstance(training, SupernetSettings):
            together = training.paths.together
            if training.batch_size == together:
                what = f"{key}.paths.together={together} with {key}.batch_size={together}"
                _require_variance(run, architecture, shape, what)
    evaluator, recalibrate = recipe.evaluator, recalibration_images(recipe.evaluator)
    if recalibrate:
        count = min(recalibrate, len(run.images.search_data().train))
        batches = -(-count // evaluator.batch_size)
        if count // batches == 1:
            what = (
                f"evaluator.recalibrate={recalibrate} with "
                f"evaluator.batch_size={evaluator.batch_size}"
            )
            _require_variance(run, architecture, run.images.search_data().shape, what)


def _sections_in_use(run: Run) -> list[str]:
    """The sections of trainings that this launch makes; retraining is a launch of its own."""
    recipe = run.recipe
    inherits = run.evaluator.inherits
    splits = bool(run.tree.children) or learns_split(recipe)
    scratch = recipe.audit.networks > 0 or run.evaluator.trains
    wanted = {"supernet": inherits, "regions": inherits and splits, "retrain": scratch}
    return [key for key in SECTIONS if wanted[key]]


def _check_share(key: str, training: TrainingSettings, world: int) -> None:
    size = training.batch_size
    if size % world:
        raise RecipeError(
            f"{key}.batch_size cannot be divided among {world} processes",
            found=size,
            allowed=f"a multiple of {world}",
        )
    if isinstance(training, SupernetSettings) and training.paths.together > 1:
        together = training.paths.together
        if together % world:
            raise RecipeError(
                f"{key}.paths.together cannot be divided among {world} processes",
                found=together,
                allowed=f"a multiple of {world}: every part of a batch is one process's own",
            )
    share = size // world
    each = f"{key}.batch_size={size}" + (f" on {world} processes" if world > 1 else "")
    if training.micro_batch == 2 and share > 2 and share % 2:
        raise RecipeError(
            f"{each} with {key}.micro_batch=2 leaves batch norm a piece of one image",
            allowed=f"{key}.micro_batch=3, ..., or an even number of images for each process",
        )
    mixes = isinstance(training, RetrainSettings) and (training.mixup or training.cutmix)
    if mixes and share % 2:
        raise RecipeError(
            f"{each} gives a process {share} images, and mixup and cutmix take pairs",
            allowed=f"a multiple of {2 * world}",
        )


def _require_variance(run: Run, architecture: Architecture, shape: ImageShape, what: str) -> None:
    """Run the network on one image, as in training."""
    network = build(run, lambda: run.task.network(architecture, run.recipe, shape), seed=0)
    try:
        with torch.no_grad():
            network.train()(torch.zeros(1, *shape.input_size))
    except ValueError as error:
        if "more than 1 value" not in str(error):
            raise
        raise RecipeError(
            f"{what} leaves batch norm one value: one image, on a feature map of one pixel",
            allowed="batches of 2 images, ...",
        ) from None
