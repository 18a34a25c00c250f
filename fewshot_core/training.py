"""The training loop: supernets, sub-supernets and standalone networks all pass through here.

Everything random in a step comes from generators seeded by the stage's seed and the step number.
A resume therefore needs the weights, the optimiser and the step, and nothing else, and continues
exactly as if nothing had happened.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.data.stream import BatchStream
from fewshot_core.errors import FewshotError
from fewshot_core.objective import FinishingObjective, Objective
from fewshot_core.paths import PathPolicy
from fewshot_core.recipe.schema import TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.console import Console
from fewshot_core.seeds import derive_seed

Watch = Callable[["StageState", nn.Module, Path], None]
"""Is shown the model at every checkpoint and at the end, and the folder of its checkpoints.

On the main process alone. It may add to the state's notes, which a checkpoint keeps; it must not
touch the model but for its mode."""

HISTORY_POINTS = 200
"""Points kept of a training's loss curve."""


class DivergedError(FewshotError):
    """A loss is not finite; the last good checkpoint is kept."""


@dataclass(frozen=True)
class Stage:
    """One training: its name for the user, its length and its seed."""

    name: str
    steps: int
    seed: int
    checkpoint_steps: int


def steps_for(settings: TrainingSettings, images: int, per_step: float = 1) -> int:
    """Number of steps that show ``epochs x images`` images.

    Args:
        settings: Epochs and batch size.
        images: Number of training images.
        per_step: Batches that a step looks at; one that several paths see counts for each.
    """
    return max(1, math.ceil(settings.epochs * images / (settings.batch_size * per_step)))


def train(
    stage: Stage,
    model: nn.Module,
    make_objective: Callable[[nn.Module], Objective],
    stream: BatchStream | PrefetchedStream,
    paths: PathPolicy | None,
    checkpoint: StageCheckpoint,
    accelerator: Accelerator,
    console: Console,
    batches: Callable[[int], int] = lambda step: 1,
    watch: Watch | None = None,
) -> StageState:
    """Train ``model`` in place, or load the weights if this stage is already done.

    Args:
        model: On return it holds the trained weights and is in ``eval()`` mode.
        make_objective: Builds the objective on the model as prepared by the accelerator.
        stream: The global batch size; every process reads its own share.
        paths: Picks the architectures of a step; None when the model is no supernet.
        batches: How many batches the objective looks at in a step, that of the stream included.
        watch: Looks at the model now and then.

    Raises:
        DivergedError: A loss was not finite.
        RunFolderError: The checkpoint is damaged or cannot be written.
    """
    state = checkpoint.state()
    if state.done:
        model.load_state_dict(checkpoint.load(state))
        model.to(accelerator.device).eval()
        return state
    prepared = accelerator.prepare_model(model)
    objective = make_objective(prepared)
    if state.file:
        payload = checkpoint.load(state)
        model.load_state_dict(payload["model"])
        objective.load_state_dict(payload["objective"])
        console.print(f"{stage.name}: continuing from step {state.step} of {stage.steps}")
    state.steps = stage.steps
    per_batch = stream.batch_size * (paths.paths_per_step if paths else 1)
    run = (stage, prepared, objective, stream, paths, checkpoint, accelerator, console)
    if not checkpoint.writes:
        watch = None
    _run(*run, state, model, lambda step: per_batch * batches(step), watch)
    if isinstance(objective, FinishingObjective):
        objective.finish()
    if watch is not None:
        watch(state, model, checkpoint.folder)
    checkpoint.finish(state, model.state_dict())
    accelerator.wait_for_everyone()
    accelerator.free_memory()  # it would keep every model and optimiser it has prepared
    model.eval()
    return state


def _run(
    stage: Stage,
    prepared: nn.Module,
    objective: Objective,
    stream: BatchStream | PrefetchedStream,
    paths: PathPolicy | None,
    checkpoint: StageCheckpoint,
    accelerator: Accelerator,
    console: Console,
    state: StageState,
    model: nn.Module,
    images_of: Callable[[int], int],
    watch: Watch | None,
) -> None:
    every = max(1, stage.steps // HISTORY_POINTS)
    began, before = time.monotonic(), state.seconds
    with console.progress(stage.name, stage.steps, state.step) as tick:
        for step in range(state.step, stage.steps):
            prepared.train()
            architectures = paths.draw(_generator(stage, step)) if paths else [None]
            torch.manual_seed(derive_seed(stage.seed, "step", step))  # dropout and its like
            images, targets = stream.batch(step)
            batch = (images.to(accelerator.device), targets.to(accelerator.device))
            logged = objective.step(batch, architectures, step)
            state.step = step + 1
            state.images += images_of(step)
            if step % every == 0 or state.step == stage.steps:
                loss = _finite(stage, step, {k: float(v) for k, v in logged.items()})
                state.history.append([step, round(loss, 5)])
                tick(state.step, f"loss {loss:.3f}")
            state.seconds = before + time.monotonic() - began
            if state.step % stage.checkpoint_steps == 0 and state.step < stage.steps:
                _finite(stage, step, {k: float(v) for k, v in logged.items()})
                if watch is not None:
                    watch(state, model, checkpoint.folder)
                payload = {"model": model.state_dict(), "objective": objective.state_dict()}
                checkpoint.save(state, payload)


def _generator(stage: Stage, step: int) -> random.Random:
    return random.Random(derive_seed(stage.seed, "path", step))


def _finite(stage: Stage, step: int, logged: dict[str, float]) -> float:
    for name, value in logged.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"{stage.name}: {name} is {value} at step {step}",
                fix="lower its lr or set its grad_clip; the last checkpoint is kept",
            )
    return next(iter(logged.values()))
