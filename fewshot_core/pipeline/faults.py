"""What may happen to a run while it works, and what its user is told then."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fewshot_core.errors import FewshotError
from fewshot_core.pipeline.processes import is_of_communication
from fewshot_core.pipeline.run import Run
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.runs.preemption import Preempted
from fewshot_core.runs.pulse import LostProcessError

__all__ = ["LostProcessError", "OutOfMemoryError", "at_work", "filling_memory"]

ALIVE = ".alive"
"""The folder of a run where processes that work apart give signs of life."""


class OutOfMemoryError(FewshotError):
    """The device has less memory than the run needs at some point."""


@contextmanager
def at_work(run: Run) -> Iterator[None]:
    """Inside, a signal waits for a safe point, and a lost process or full memory is one line.

    Afterwards the run folder is free.

    Raises:
        LostProcessError: A process of the launch ended while the others waited for it.
        OutOfMemoryError: The device's memory is full.
        Preempted: The run was asked to stop.
    """
    try:
        with (
            run.stop.listening(run.recipe.grace_seconds),
            run.team.beating(run.folder.file(ALIVE)),
            filling_memory(run),
            sparing_collections(),
        ):
            yield
    except RuntimeError as error:
        if run.accelerator.num_processes == 1 or not is_of_communication(error):
            raise
        if run.stop.number is not None:  # all were asked, and the main one has gone first
            raise Preempted(run.stop.number, run.stop) from None
        raise LostProcessError(
            "a process of this launch was lost",
            found=str(error).splitlines()[0][:100],
            fix="start the same command again: it goes on from the last checkpoints",
        ) from None
    finally:
        run.folder.close()


@contextmanager
def sparing_collections() -> Iterator[None]:
    """Inside, garbage collections pass over what was there before.

    Every training ends with one (Accelerate's), and torch with all that it imports has a million
    objects: half a second each time.
    """
    if gc.get_freeze_count():  # by the program that uses this one
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def filling_memory(run: Run) -> Iterator[None]:
    """Inside, a full device is one line.

    Raises:
        OutOfMemoryError: The device's memory is full.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise out_of_memory(run, error) from None


def out_of_memory(run: Run, error: torch.OutOfMemoryError) -> OutOfMemoryError:
    """What to tell the user whose device is full."""
    recipe, name = run.recipe, run.task.memory_setting
    words = ["precision=auto"] if recipe.precision in (None, "no") else []
    for key in ("supernet", "regions", "retrain"):
        training: TrainingSettings = getattr(recipe, key)
        words.append(f"{key}.{name}={max(2, (training.micro_batch or training.batch_size) // 2)}")
    return OutOfMemoryError(
        f"{run.accelerator.device} has too little memory for this run",
        found=str(error).splitlines()[0].removeprefix("CUDA out of memory. "),
        fix=f"{' '.join(words)} in another run=DIR, or more processes that share each batch",
    )
