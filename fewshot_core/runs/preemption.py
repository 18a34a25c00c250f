"""Stopping on request: SIGTERM and SIGHUP end a run at its next safe point, and in time.

Clusters send SIGTERM some seconds before they kill (SLURM and Kubernetes: 30), and a terminal that
is closed sends SIGHUP. A training then writes a checkpoint at the end of its step. Whatever else is
under way is whole on disk at any moment, so where no safe point comes in time the process simply
ends; so does a process that is still importing.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from fewshot_core.runs.farewell import ENDING, exit_code, leave

TERMINATED = 128 + signal.SIGTERM
"""Exit code after SIGTERM, as shells report it: 143."""


class Preempted(BaseException):
    """The process was asked to stop, and what it has done is on disk.

    No ``Exception``, so that nothing that mends errors takes it for one.

    Args:
        number: The signal that asked.
        request: What has noted it, where something has.
    """

    def __init__(self, number: int = signal.SIGTERM, request: StopRequest | None = None) -> None:
        self.number = signal.Signals(number)
        self.request = request
        super().__init__(self.number.name)


@contextmanager
def ending_on_request() -> Iterator[None]:
    """Inside, a signal that ends raises at once; afterwards signals do what they did before.

    SIGTERM and SIGHUP raise :class:`Preempted`, Ctrl-C ``KeyboardInterrupt``. While a module is
    imported nothing is raised, since modules turn exceptions into errors of their own or swallow
    them: the process says its line and ends. Signals that were ignored stay so (``nohup``).
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may decide about signals
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked worker has nothing to save
            os._exit(exit_code(number))
        _leave_terminal(number)
        if _imports(frame):
            leave(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Preempted(number)

    with _handling(end, *ENDING):
        yield


class StopRequest:
    """Whether this process was asked to stop.

    Args:
        decides: Whether this process stops of itself. Of processes that train together only the
            one that writes checkpoints does: if another left first, that one could not complete
            its step, and the others end when it has gone.
    """

    def __init__(self, decides: bool = True) -> None:
        self.decides = decides
        self.number: int | None = None
        self._released = threading.Event()

    @property
    def received(self) -> bool:
        """Whether it was asked, wherever it may stop."""
        return self.number is not None

    @property
    def requested(self) -> bool:
        """Whether to stop at the next safe point."""
        return self.received and self.decides

    def check(self) -> None:
        """A safe point between two pieces of work.

        Raises:
            Preempted: The process was asked to stop.
        """
        if self.number is not None and self.decides:
            raise Preempted(self.number, self)

    @contextmanager
    def listening(self, grace: float) -> Iterator[None]:
        """Inside, note SIGTERM and SIGHUP instead of ending at once.

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
                os._exit(exit_code(number))
            _leave_terminal(number)
            self.number = number

        # The signal's byte arrives even while the main thread is inside a long computation or waits
        # for a process that is gone.
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._released.clear()
        try:
            with _handling(note, signal.SIGTERM, signal.SIGHUP) as heard:
                arguments = (reader, grace, self._released, heard)
                threading.Thread(target=_end_in_time, args=arguments, daemon=True).start()
                yield
        finally:
            signal.set_wakeup_fd(wakeup)
            os.close(writer)

    def release(self) -> None:
        """Let the process live on after a signal: for programs that do not end with the run."""
        self._released.set()


@contextmanager
def _handling(handler: signal.Handlers | object, *numbers: int) -> Iterator[tuple[int, ...]]:
    """Inside, the handler answers the signals that are not ignored; yields which."""
    heard = tuple(n for n in numbers if signal.getsignal(n) is not signal.SIG_IGN)
    before = [(number, signal.signal(number, handler)) for number in heard]  # type: ignore[arg-type]
    try:
        yield heard
    finally:
        for number, earlier in before:
            signal.signal(number, earlier)


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported somewhere above."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave_terminal(number: int) -> None:
    """Write nothing more to a terminal that was closed: every attempt would be an error."""
    if number == signal.SIGHUP:
        for file in (1, 2):
            with suppress(OSError):
                if stat.S_ISCHR(os.fstat(file).st_mode):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), file)


def _end_in_time(
    reader: int, grace: float, released: threading.Event, heard: tuple[int, ...]
) -> None:
    with os.fdopen(reader, "rb", buffering=0) as signals:
        while number := signals.read(1):
            if number[0] in heard:
                if released.wait(grace):
                    return
                name = signal.Signals(number[0]).name
                os.write(2, f"stopped by {name} at the end of grace_seconds\n".encode())
                os._exit(exit_code(number[0]))
