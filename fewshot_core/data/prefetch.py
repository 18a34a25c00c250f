"""Training batches made ahead by worker processes."""

from __future__ import annotations

import atexit
import os
import signal
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import torch
from torch.utils.data import DataLoader, Dataset

from fewshot_core.data.stream import Batch, BatchStream
from fewshot_core.errors import DataError, FewshotError
from fewshot_core.runs.launch import local_world_size

ENDLESS = 2**31

WAIT_SECONDS = 600
"""How long a batch may take; a worker that needs longer hangs."""

SHARED_MEMORY = Path("/dev/shm")
"""Where processes hand each other tensors. In a container it often has 64 MB."""

AHEAD = 2
"""Batches that each worker makes ahead."""

IN_USE = 2
"""Batches in the hands of the training, at most."""

ROOM = 0.8
"""The share of the free shared memory that is used: other programs have a part in it."""

MORE = "docker run --shm-size or --ipc=host gives more"


class PrefetchedStream:
    """A stream whose next batches are made while one is used.

    Batches pass through shared memory. Where it has no room for so many workers there are fewer,
    and where it has none at all the training makes its batches itself: they are the same.

    Args:
        stream: Makes the batches; each is a function of the step alone, so that workers need to
            know nothing of each other.
        workers: Processes.
        tell: Is told in one line where there are fewer.
    """

    def __init__(
        self,
        stream: BatchStream,
        workers: int,
        tell: Callable[[str], None] = warnings.warn,
    ) -> None:
        self.stream, self.workers = stream, workers
        self.batch_size = stream.batch_size
        self._tell = tell
        self._next = -1
        self._batches: Iterator[object] | None = None
        self._children: list[BaseProcess] = []

    def batch(self, step: int) -> Batch:
        """As of the stream; another step than the one after the last starts the workers anew.

        Raises:
            DataError: A worker was killed, or has made no batch in ten minutes; or what the stream
                itself raises.
        """
        if step != self._next:
            self.close()
            self._batches = self._start(step)
        self._next = step + 1
        if self._batches is None:
            return self.stream.batch(step)
        try:
            made = next(self._batches)
        except RuntimeError as error:
            made = self._failure(error)
        if isinstance(made, _NoRoom):
            self._go_on_alone(f"shared memory is full ({made.found}); {MORE}")
            return self.stream.batch(step)
        if isinstance(made, FewshotError):
            self.close()
            raise made
        return cast(Batch, made)

    def close(self) -> None:
        """End the workers, wherever they are."""
        batches, self._batches = self._batches, None
        if batches is not None:
            # An iterator does so when it is collected, which a traceback that holds it puts off.
            batches._shutdown_workers()  # type: ignore[attr-defined]
        for child in self._children:
            # They are deaf to the signal that multiprocessing sends at the end of the program, to
            # wait for them without a limit.
            if child.is_alive():
                child.kill()
            child.join()
        self._children = []

    def _start(self, step: int) -> Iterator[object] | None:
        if not self.workers:
            return None
        count = affordable(self.workers, self.stream.batch_bytes, free_shared_memory())
        if count < self.workers:
            self._tell(
                f"data.workers={self.workers}: {SHARED_MEMORY} has room for the batches of "
                f"{count or 'none'}; {MORE}"
            )
            self.workers = count
        if not count:
            return None
        loader = DataLoader(
            _Steps(self.stream),
            batch_size=None,
            sampler=range(step, ENDLESS),
            num_workers=count,
            prefetch_factor=AHEAD,
            worker_init_fn=_deaf,
            pin_memory=torch.cuda.is_available(),
            timeout=WAIT_SECONDS,
        )
        others = set(active_children())
        try:
            return iter(loader)
        except (OSError, ImportError) as error:  # no semaphores, or no more processes allowed
            self._go_on_alone(str(error))
            return None
        finally:
            self._children = [child for child in active_children() if child not in others]
            atexit.register(_close, weakref.ref(self))  # before multiprocessing's own

    def _go_on_alone(self, why: str) -> None:
        self.close()
        self.workers = 0
        self._tell(f"data.workers: {why.rstrip('.')}. The training makes its batches itself")

    def _failure(self, error: RuntimeError) -> _NoRoom:
        """What to do about an error of the loader; its message is all it says.

        Raises:
            DataError: A worker is lost.
            RuntimeError: A bug that a worker came upon.
        """
        said = str(error)
        self.close()
        if "Bus error" in said:
            return _NoRoom("a worker was killed by SIGBUS")
        if not said.startswith("DataLoader "):
            raise error
        raise DataError(
            "a worker that makes batches is lost",
            found=said.splitlines()[0],
            fix="the same command goes on from the last checkpoint; fewer data.workers take less "
            "memory, and data.workers=0 shows what they meet with",
        ) from None


def affordable(workers: int, batch_bytes: int, free: int | None) -> int:
    """How many of the workers have room for the batches that they make ahead.

    Args:
        workers: That are wanted.
        batch_bytes: Bytes of one batch.
        free: Bytes of shared memory for this process; none: nobody knows.
    """
    if free is None:
        return workers
    return max(0, min(workers, (int(ROOM * free) // batch_bytes - IN_USE) // AHEAD))


def free_shared_memory(path: Path | None = None) -> int | None:
    """Bytes of shared memory that this process of the launch may use; none: not known."""
    try:
        found = os.statvfs(path or SHARED_MEMORY)
    except OSError:  # no Linux
        return None
    return found.f_bavail * found.f_frsize // local_world_size()


def _close(stream: weakref.ref[PrefetchedStream]) -> None:
    if (alive := stream()) is not None:
        alive.close()


@dataclass(frozen=True)
class _NoRoom:
    """In place of a batch that shared memory has no room for."""

    found: str


def _deaf(worker: int) -> None:
    """Leave SIGTERM and its like, which whole groups of processes get, to the one that trains.

    It has a checkpoint to write, and would be told instead that a worker was killed. Workers end
    with it all the same: they look for it every few seconds.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


class _Steps(Dataset[object]):
    def __init__(self, stream: BatchStream) -> None:
        self.stream = stream

    def __getitem__(self, step: int) -> object:
        try:
            batch = self.stream.batch(step)
        except FewshotError as error:  # as an exception it would arrive with its traceback
            return error
        try:
            # Left to the loader this happens in a thread of the worker, whose errors nobody gets:
            # the training would wait for the batch for ever.
            return tuple(part.share_memory_() for part in batch)
        except (RuntimeError, OSError) as error:
            return _NoRoom(str(error).splitlines()[0][:120])

    def __len__(self) -> int:
        return ENDLESS
