"""Training batches made ahead by worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from fewshot_core.data.stream import Batch, BatchStream

ENDLESS = 2**31


class PrefetchedStream:
    """A stream whose next batches are made while one is used.

    Args:
        stream: Makes the batches; each is a function of the step alone, so that workers need to
            know nothing of each other.
        workers: Processes.
    """

    def __init__(self, stream: BatchStream, workers: int) -> None:
        self.stream, self.workers = stream, workers
        self.batch_size = stream.batch_size
        self._next = -1
        self._batches: Iterator[Batch] = iter(())

    def batch(self, step: int) -> Batch:
        """As of the stream; another step than the one after the last starts the workers anew."""
        if step != self._next:
            loader = DataLoader(
                _Steps(self.stream),
                batch_size=None,
                sampler=range(step, ENDLESS),
                num_workers=self.workers,
                worker_init_fn=_deaf,
                pin_memory=torch.cuda.is_available(),
            )
            self._batches = iter(loader)
        self._next = step + 1
        return next(self._batches)


def _deaf(worker: int) -> None:
    """Leave SIGTERM and Ctrl-C, which whole groups of processes get, to the one that trains.

    It has a checkpoint to write, and would be told instead that a worker was killed. Workers end
    with it all the same: they look for it every few seconds.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


class _Steps(Dataset[Batch]):
    def __init__(self, stream: BatchStream) -> None:
        self.stream = stream

    def __getitem__(self, step: int) -> Batch:
        return self.stream.batch(step)

    def __len__(self) -> int:
        return ENDLESS
