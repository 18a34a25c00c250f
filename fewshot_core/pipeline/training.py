"""Trainings of a run: batches, networks with seeded weights, and the loop over them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fewshot_core.data import BatchStream, Images
from fewshot_core.data.augment import Augment
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.tracking import track_training
from fewshot_core.recipe.trainings import RetrainSettings, SupernetSettings, TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.spaces.paths import PathPolicy
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.loop import Stage, Watch, steps_for, train
from fewshot_core.training.objective import Objective, PacedObjective
from fewshot_core.training.pace import make_pace

SIZE = "connected_params"
"""The cost that counts as complexity."""


def make_stream(
    run: Run, images: Images, settings: TrainingSettings, seed: int
) -> BatchStream | PrefetchedStream:
    """Training batches of this process; shifts and squares shrink with the images.

    Args:
        run: The run; its section ``data`` says what is done to images.
        images: What is trained on.
        settings: The batch size, and what only retraining does to images.
        seed: The seed of order and augmentation.
    """
    data, how = run.images.data(), run.recipe.data
    scale = images.input_size[1] / data.image_size
    augment = Augment(how.scale, how.jitter)
    if isinstance(settings, RetrainSettings):
        augment = Augment(how.scale, how.jitter, settings.augment, settings.erase)
    stream = BatchStream(
        images,
        batch_size=settings.batch_size,
        seed=seed,
        mean=data.mean,
        std=data.std,
        flip=how.flip,
        pad=round(how.pad * scale),
        cutout=round(how.cutout * scale),
        augment=augment,
        rank=run.worker.process_index,
        world=run.worker.num_processes,
        device="cpu" if how.workers else run.worker.device,
    )
    return PrefetchedStream(stream, how.workers, run.console.print) if how.workers else stream


def build(run: KeptRun, make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A module whose initial weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    # Convolutions hand the layout of their weights on, so the images need no conversion.
    return model.to(memory_format=torch.channels_last) if run.recipe.channels_last else model


def build_network(run: KeptRun, architecture: Architecture, seed: int) -> nn.Module:
    """The untrained network of an architecture, for images of full size."""
    shape = run.images.facts().shape
    return build(run, lambda: run.task.network(architecture, run.recipe, shape), seed)


def with_pace(run: Run, objective: Objective, settings: TrainingSettings) -> Objective:
    """The objective, with the learning rate of each step by its architectures if that is asked for.

    Raises:
        RecipeError: The task's objective has one rate for all.
    """
    if not isinstance(settings, SupernetSettings) or settings.schedule == "cosine":
        return objective
    if not isinstance(objective, PacedObjective):
        raise RecipeError(
            f"task={run.recipe.task} has no learning rate by complexity",
            found=f"schedule={settings.schedule}",
            fix="leave schedule=cosine in supernet and regions",
        )
    objective.pace = make_pace(run.root, lambda a: run.costs.costs(a)[SIZE])
    return objective


def fit(
    run: Run,
    name: str,
    model: nn.Module,
    settings: TrainingSettings,
    images: Images,
    checkpoint: StageCheckpoint,
    seed: int,
    paths: PathPolicy | None = None,
    watch: Watch | None = None,
) -> StageState:
    """Train a model, or load it where it is already trained.

    Args:
        run: The run.
        name: What the training is called.
        model: On return it holds the trained weights.
        settings: How it is trained.
        images: What it is trained on.
        checkpoint: Where its state is kept.
        seed: The seed of batches and paths.
        paths: Picks the architectures of a step; None where the model is no supernet.
        watch: Looks at the model now and then.

    Raises:
        DivergedError: A loss or a gradient was not finite, twice or in an earlier launch.
    """
    per_step = paths.paths_per_step if paths else 1
    steps = steps_for(settings, len(images), per_step)

    def make_objective(prepared: nn.Module) -> Objective:
        objective = run.task.objective(prepared, settings, steps, run.worker)
        return with_pace(run, objective, settings)

    state = train(
        Stage(name, steps, seed, run.recipe.checkpoint_steps),
        model,
        make_objective,
        make_stream(run, images, settings, seed),
        paths,
        checkpoint,
        run.worker,
        run.console,
        watch=watch,
        stop=run.stop,
    )
    track_training(run.console, name, state)  # what was trained before trackers were asked for
    return state
