"""What may happen to a run while it works, and what its user is told then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fewshot_core.errors import FewshotError
from fewshot_core.pipeline.session import Session
from fewshot_core.runs.preemption import Preempted


class LostProcessError(FewshotError):
    """Another process of the launch has gone."""


@contextmanager
def at_work(session: Session) -> Iterator[None]:
    """Inside, SIGTERM waits for a safe point and a lost process is one line.

    Afterwards the run folder is free.

    Raises:
        LostProcessError: A process of the launch ended while the others waited for it.
        Preempted: The run was asked to stop.
    """
    session.stop.decides = session.worker.is_main_process
    session.folder.all_write = session.team.apart
    try:
        with session.stop.listening(session.recipe.grace_seconds):
            yield
    except RuntimeError as error:
        if session.accelerator.num_processes == 1 or not _of_communication(error):
            raise
        if session.stop.received:  # all were asked to stop, and the main one has gone first
            raise Preempted from None
        raise LostProcessError(
            "a process of this launch was lost",
            found=str(error).splitlines()[0][:100],
            fix="start the same command again: it goes on from the last checkpoints",
        ) from None
    finally:
        session.folder.close()


def _of_communication(error: RuntimeError) -> bool:
    # Gloo raises plain RuntimeErrors that name its source file.
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
