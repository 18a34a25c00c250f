"""Runs of the GPU benchmark: each in a folder of its own, which is gone afterwards."""

from __future__ import annotations

import gc
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from accelerate.state import AcceleratorState
from jobs import load_words

from fewshot_core.data import ImageData
from fewshot_core.pipeline.search import start
from fewshot_core.pipeline.session import Session


@contextmanager
def opened(words: Sequence[str], data: ImageData) -> Iterator[Session]:
    """A run in a folder of its own, which is gone afterwards."""
    AcceleratorState._reset_state()  # it refuses another precision than the last
    with tempfile.TemporaryDirectory() as folder:
        session = start(load_words([*words, f"run={Path(folder) / 'run'}"]), data)
        try:
            yield session
        finally:
            session.accelerator.free_memory()
            session.accelerator.end_training()
            session.folder.close()
            gc.collect()


@contextmanager
def stopped_after(session: Session, seconds: float) -> Iterator[None]:
    """Inside, the run is asked to stop when the time is over."""

    def stop() -> None:
        session.stop.number = signal.SIGTERM

    timer = threading.Timer(max(seconds, 0), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
