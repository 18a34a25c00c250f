"""Stopping on request: SIGTERM ends a run at its next safe point, and in any case in time.

Clusters send SIGTERM some seconds before they kill (SLURM and Kubernetes: 30). A training then
writes a checkpoint at the end of its step. Whatever else is under way is whole on disk at any
moment, so where no safe point comes in time the process simply ends.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as shells report it: 143."""


class Preempted(BaseException):
    """The process was asked to stop, and what it has done is on disk.

    No ``Exception``, so that nothing that mends errors takes it for one.
    """


@contextmanager
def ending_on_request() -> Iterator[None]:
    """Inside, SIGTERM raises :class:`Preempted` at once; afterwards what it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may decide about signals
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Preempted

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """Whether this process was asked to stop.

    Args:
        decides: Whether this process stops of itself. In a training of several processes only the
            one that writes checkpoints does: if another left first, that one could not complete
            its step, and the others end when it has gone.
    """

    def __init__(self, decides: bool = True) -> None:
        self.decides = decides
        self.received = False
        self._released = threading.Event()

    @property
    def requested(self) -> bool:
        """Whether to stop at the next safe point."""
        return self.received and self.decides

    def check(self) -> None:
        """A safe point between two pieces of work.

        Raises:
            Preempted: The process was asked to stop.
        """
        if self.requested:
            raise Preempted

    @contextmanager
    def listening(self, grace: float) -> Iterator[None]:
        """Inside, note SIGTERM instead of ending at once.

        Args:
            grace: Seconds after the signal at which the process ends wherever it is.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        owner = os.getpid()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)

        def note(number: int, frame: FrameType | None) -> None:
            if os.getpid() != owner:  # a forked worker has nothing to save
                os._exit(TERMINATED)
            self.received = True

        # The signal's byte arrives even while the main thread is inside a long computation or waits
        # for a process that is gone.
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._released.clear()
        arguments = (reader, grace, self._released)
        threading.Thread(target=_end_in_time, args=arguments, daemon=True).start()
        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)
            signal.set_wakeup_fd(wakeup)
            os.close(writer)

    def release(self) -> None:
        """Let the process live on after a SIGTERM: for programs that do not end with the run."""
        self._released.set()


def _end_in_time(reader: int, grace: float, released: threading.Event) -> None:
    with os.fdopen(reader, "rb", buffering=0) as signals:
        while number := signals.read(1):
            if number[0] == signal.SIGTERM:
                if released.wait(grace):
                    return
                os.write(2, b"stopped by SIGTERM at the end of grace_seconds\n")
                os._exit(TERMINATED)
