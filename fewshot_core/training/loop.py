"""The training loop: supernets, sub-supernets and standalone networks all pass through here.

Everything random in a step comes from generators seeded by the stage's seed and the step number.
A resume therefore needs the weights, the optimiser and the step, and nothing else, and continues
exactly as if nothing had happened.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.data.stream import BatchStream
from fewshot_core.errors import FewshotError
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.console import Console
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import PathBatches, PathPolicy
from fewshot_core.supernet import Supernet
from fewshot_core.training.objective import GRADIENT_NORM, FinishingObjective, Objective
from fewshot_core.training.sync_norm import leave_norms_alone, synchronise_norms

Watch = Callable[["StageState", nn.Module, Path], None]
"""Is shown the model at every checkpoint and at the end, and the folder of its checkpoints.

On the main process alone. It may add to the state's notes, which a checkpoint keeps; it must not
touch the model but for its mode."""

HISTORY_POINTS = 200
"""Points kept of a training's loss curve."""

PARTS = "parts"
"""Note of a training that says how the architectures of a step are run."""

AT_ONCE, IN_TURN = "in one program of the device", "one after the other"

TICK_SECONDS = 1.0
"""Between two signs of life, at most, however long the training and whatever it logs."""

_AGAIN = "start another run with a lower lr or a grad_clip, or delete {folder} to try again"


class DivergedError(FewshotError):
    """A loss or a gradient is not finite; the last good checkpoint is kept."""


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

    Returns:
        At least one, unless there are no epochs.
    """
    if not settings.epochs:
        return 0
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
    stop: StopRequest | None = None,
) -> StageState:
    """Train ``model`` in place, or load the weights if this stage is already done.

    A value that is not finite sends the training back to its last checkpoint once, since a fault
    of the machine does not come twice. The second time the stage is given up, and stays so.

    Args:
        model: On return it holds the trained weights and is in ``eval()`` mode.
        make_objective: Builds the objective on the model as prepared by the accelerator.
        stream: The global batch size; every process reads its own share.
        paths: Picks the architectures of a step; None when the model is no supernet.
        batches: How many batches the objective looks at in a step, that of the stream included.
        watch: Looks at the model now and then.
        stop: Ends the training after a checkpoint when asked to.

    Raises:
        DivergedError: A loss or a gradient was not finite, twice or in an earlier launch.
        RunFolderError: The checkpoint is damaged or cannot be written.
        Preempted: ``stop`` was asked to.
    """
    state, payload = agree_on_state(checkpoint, accelerator, console)
    if state.diverged:
        raise DivergedError(state.diverged, fix=_AGAIN.format(folder=checkpoint.folder))
    if state.done:
        model.load_state_dict(checkpoint.load(state))
        model.to(accelerator.device).eval()
        return state
    prepared = accelerator.prepare_model(model)
    objective = make_objective(prepared)
    _tell_parts(stage.name, state, model, paths, accelerator, console)
    run = _Run(stage, model, prepared, objective, stream, paths, checkpoint, accelerator, console)
    per_batch = stream.batch_size * (paths.paths_per_step if paths else 1)
    run.images_of = lambda step: per_batch * batches(step)
    run.watch = watch if checkpoint.writes else None
    run.stop = stop or StopRequest()
    first = None if payload else copy_to_cpu(run.payload())
    if payload:
        run.load(payload)
        console.print(f"{stage.name}: continuing from step {state.step} of {stage.steps}")
    try:
        # Parts of a batch are whole on a process, and each has statistics of its own.
        whole = isinstance(paths, PathBatches)
        with nullcontext() if whole else synchronise_norms(model, accelerator):
            state = _train_with_rollback(run, state, first)
        if isinstance(objective, FinishingObjective):
            objective.finish()
        run.show(state)
        checkpoint.finish(state, model.state_dict())
        accelerator.wait_for_everyone()
    finally:
        accelerator.free_memory()  # it would keep every model and optimiser it has prepared
    model.eval()
    return state


def _tell_parts(
    name: str,
    state: StageState,
    model: nn.Module,
    paths: PathPolicy | None,
    accelerator: Accelerator,
    console: Console,
) -> None:
    """Say and keep how the architectures of a step are run: the device decides."""
    if not isinstance(paths, PathBatches) or not isinstance(model, Supernet):
        return
    some = paths.draw(random.Random(0))[:1]
    found = IN_TURN if model.path_batch(some, accelerator.device) is None else AT_ONCE
    began = state.notes.setdefault(PARTS, found)
    console.print(f"{name}: {paths.count} architectures in a step, {found}")
    if began != found:
        console.print(
            f"{name}: it began with them {began}; the steps are the same, and rounded differently"
        )


def _train_with_rollback(run: _Run, state: StageState, first: dict[str, Any] | None) -> StageState:
    """Train to the end; ``first`` is what to go back to where nothing is saved yet."""
    try:
        run(state)
        return state
    except DivergedError as error:
        run.accelerator.wait_for_everyone()
        notes = state.notes
        state, payload = agree_on_state(run.checkpoint, run.accelerator, run.console)
        state.notes = notes | state.notes
        run.console.print(f"{error.what}; once more from step {state.step}")
        run.load(payload or first or {})
    try:
        run(state)
        return state
    except DivergedError as error:
        run.checkpoint.give_up(error.what)
        raise


def agree_on_state(
    checkpoint: StageCheckpoint, accelerator: Accelerator, console: Console
) -> tuple[StageState, dict[str, Any] | None]:
    """What :meth:`StageCheckpoint.newest` finds on the main process, on every process."""
    if accelerator.num_processes == 1:
        return checkpoint.newest(console.print)
    # The file system may show another process an older state for a while.
    found: list[Any] = [None]
    payload = None
    if accelerator.is_main_process:
        state, payload = checkpoint.newest(console.print)
        found = [asdict(state)]
    state = StageState(**broadcast_object_list(found)[0])
    if not accelerator.is_main_process and state.file and not state.done:
        payload = checkpoint.load(state)
    return state, payload


@dataclass
class _Run:
    """A training under way."""

    stage: Stage
    model: nn.Module
    prepared: nn.Module
    objective: Objective
    stream: BatchStream | PrefetchedStream
    paths: PathPolicy | None
    checkpoint: StageCheckpoint
    accelerator: Accelerator
    console: Console
    images_of: Callable[[int], int] = lambda step: 0
    watch: Watch | None = None
    stop: StopRequest = field(default_factory=StopRequest)

    def payload(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "objective": self.objective.state_dict()}

    def load(self, payload: dict[str, Any]) -> None:
        self.model.load_state_dict(payload["model"])
        self.objective.load_state_dict(payload["objective"])

    def show(self, state: StageState) -> None:
        """Let the one who watches see the model."""
        if self.watch is not None:
            with leave_norms_alone(self.model):
                self.watch(state, self.model, self.checkpoint.folder)
            self.prepared.train()

    def __call__(self, state: StageState) -> None:
        stage, steps = self.stage, self.stage.steps
        state.steps = steps
        every = max(1, steps // HISTORY_POINTS)
        guard = FiniteGuard(stage.name, self.accelerator)
        # Not at every step: it walks over all modules, and nobody but `watch` changes the mode.
        self.prepared.train()
        began, before = time.monotonic(), state.seconds
        ticked, note = began, ""
        with self.console.progress(stage.name, steps, state.step) as tick:
            for step in range(state.step, steps):
                guard.see(step, self._step(step))
                state.step = step + 1
                state.images += self.images_of(step)
                if step % every == 0 or state.step == steps:
                    loss = guard.require_finite()
                    state.history.append([step, round(loss, 5)])
                    self.console.track(stage.name, step, {"loss": round(loss, 5)})
                    note = f"loss {loss:.3f}"
                now = time.monotonic()
                state.seconds = before + now - began
                # The loss is that of the last look: asking for this one would wait for the device.
                if step % every == 0 or state.step == steps or now - ticked >= TICK_SECONDS:
                    tick(state.step, note)
                    ticked = now
                if state.step == steps:
                    return
                if state.step % stage.checkpoint_steps == 0:
                    guard.require_finite()
                    self.show(state)
                    self.checkpoint.save(state, self.payload())
                if self.stop.requested:
                    self._leave(state, guard)

    def _step(self, step: int) -> dict[str, Tensor]:
        stage = self.stage
        architectures = self.paths.draw(_generator(stage, step)) if self.paths else [None]
        torch.manual_seed(derive_seed(stage.seed, "step", step))  # dropout and its like
        images, targets = self.stream.batch(step)
        device = self.accelerator.device
        batch = images.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        return self.objective.step(batch, architectures, step)

    def _leave(self, state: StageState, guard: FiniteGuard) -> None:
        """Save unless the step has just done so, or what there is is not worth it."""
        if state.step % self.stage.checkpoint_steps and guard.finite_here():
            self.checkpoint.save(state, self.payload())
        self.console.print(f"{self.stage.name}: stopped after step {state.step}")
        self.stop.check()


class FiniteGuard:
    """Looks for values that are not finite, without waiting for the device at every step."""

    def __init__(self, name: str, accelerator: Accelerator) -> None:
        self._name, self._accelerator = name, accelerator
        self._labels: list[tuple[int, str]] = []  # step and name of every value since the last look
        self._values: list[Tensor] = []
        self._loss = 0  # the place of the last step's loss among them
        self._last = math.nan

    def see(self, step: int, logged: Mapping[str, Tensor]) -> None:
        """Note what a step has logged, its loss first."""
        # Gradients scaled for fp16 overflow now and then, and the scaler leaves such a step out.
        scaled = self._accelerator.scaler is not None
        self._loss = len(self._labels)
        for name, value in logged.items():
            if not (scaled and name == GRADIENT_NORM):
                self._labels.append((step, name))
                one = torch.as_tensor(value, device=self._accelerator.device)
                self._values.append(one.detach().float().reshape(()))

    def require_finite(self) -> float:
        """The loss of the last step, the mean over the processes.

        Raises:
            DivergedError: A value since the last call is not finite, on any process.
        """
        if not self._values:
            return self._last
        values = torch.stack(self._values)
        if self._accelerator.num_processes > 1:
            values = self._accelerator.reduce(values, "mean")
        labels, self._labels, self._values = self._labels, [], []
        found = values.tolist()
        for (step, name), value in zip(labels, found, strict=True):
            if not math.isfinite(value):
                raise DivergedError(
                    f"{self._name}: {name} is {value} at step {step}",
                    fix="lower its lr or set its grad_clip; the last checkpoint is kept",
                )
        self._last = float(found[self._loss])
        return self._last

    def finite_here(self) -> bool:
        """Whether the values since the last check are finite on this process."""
        return not self._values or bool(torch.stack(self._values).isfinite().all())


def copy_to_cpu(value: Any) -> Any:
    """A copy of nested dictionaries and lists with their tensors on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copy_to_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copy_to_cpu(item) for item in value)
    return copy.deepcopy(value)


def _generator(stage: Stage, step: int) -> random.Random:
    return random.Random(derive_seed(stage.seed, "path", step))
