"""Runs of the GPU benchmark, and the only module of it that knows the pipeline.

Each run has a folder of its own, which is gone afterwards.
"""

from __future__ import annotations

import gc
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from benchmarks.studies.runs import StudyRun, load_words
from fewshot_core.data import ImageData
from fewshot_core.pipeline.opening import start
from fewshot_core.pipeline.rank import Truth, score_all
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.supernets import new_supernet, settings_of
from fewshot_core.pipeline.training import make_stream
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import make_paths
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.training.loop import Stage, steps_for, train
from fewshot_core.training.objective import Scorer

Wrap = Callable[[Any, nn.Module, Accelerator, StopRequest], Any]
"""From a stream of batches, the model, the accelerator and the stop of a training to a stream."""


@contextmanager
def open_run(words: Sequence[str], data: ImageData) -> Iterator[StudyRun]:
    """Open a run in a folder of its own, which is gone afterwards."""
    AcceleratorState._reset_state()  # it refuses another precision than the last
    with tempfile.TemporaryDirectory() as folder:
        run = StudyRun(start(load_words([*words, f"run={Path(folder) / 'run'}"]), data))
        try:
            yield run
        finally:
            run.run.accelerator.free_memory()
            run.close()
            gc.collect()


@contextmanager
def stop_after(run: StudyRun, seconds: float) -> Iterator[None]:
    """Inside, the run is asked to stop when the time is over."""

    def stop() -> None:
        run.run.stop.number = signal.SIGTERM

    timer = threading.Timer(max(seconds, 0), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def device_of(run: StudyRun) -> torch.device:
    """Where the run trains and scores."""
    return run.run.worker.device


def train_root(run: StudyRun, wrap: Wrap) -> None:
    """Train the supernet of the whole space by the loop of every run.

    Args:
        run: The run.
        wrap: Puts something in the place of the stream of batches.

    Raises:
        Preempted: The run was asked to stop.
    """
    root, opened = run.run.root, run.run
    settings = settings_of(opened, root)
    images = run.data.train
    supernet = new_supernet(opened, root)
    paths = make_paths(settings.paths, root, opened.front_cost)
    steps = steps_for(settings, len(images), paths.paths_per_step)
    seed = derive_seed(run.recipe.seed, "training", root.id)
    stream = make_stream(opened, images, settings, seed)
    train(
        Stage(f"supernet {root.id}", steps, seed, run.recipe.checkpoint_steps),
        supernet,
        lambda model: opened.task.objective(model, settings, steps, opened.worker),
        wrap(stream, supernet, opened.worker, opened.stop),
        paths,
        opened.folder.checkpoint(root),
        opened.worker,
        run.console,
        stop=opened.stop,
    )


def images_per_step(run: StudyRun) -> float:
    """As the training of the whole space counts them, or would have if it had not failed."""
    opened = run.run
    state = run.states()[opened.root.id]
    if state.step:
        return state.images / state.step
    settings = run.recipe.supernet
    paths = make_paths(settings.paths, opened.root, opened.front_cost)
    return float(settings.batch_size * paths.paths_per_step)


def make_untrained(run: StudyRun) -> tuple[Supernet, Scorer]:
    """The supernet of the whole space with fresh weights, and what scores its cells."""
    model = new_supernet(run.run, run.run.root).to(device_of(run)).eval()
    return model, make_scorer(run.run, run.recipe, run.data, "validation")


def score_truth(
    run: StudyRun, truth: Truth, path: Path
) -> Mapping[Architecture, Mapping[str, float]]:
    """Score all cells of a table with the trained supernets, and write the scores to a file."""
    stop = run.run.stop
    return score_all(run.inherited(), truth, path, run.console, "scoring", stop=stop)
