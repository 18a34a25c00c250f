"""Signs of life between processes that work apart, in the run folder that they share.

Such a process may wait for days for another one's training. A launcher ends it when the other one
dies; where the launcher is gone as well, or where the other process writes to a folder that this
one cannot see, nothing would ever come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fewshot_core.errors import FewshotError

BEAT_SECONDS = 10.0
"""Between two signs of life."""

SILENCE_SECONDS = 600.0
"""A process that has given none for so long is lost. File systems of a network may show a change
minutes late."""


class LostProcessError(FewshotError):
    """Another process of the launch has gone."""


class Pulse:
    """The signs of life of one process, and its look at those of the others.

    Args:
        folder: Where the files are; all processes have to see it.
        rank: This process.
        beat: Seconds between two signs.
        silence: Seconds without one after which a process is lost.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        beat: float = BEAT_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._folder, self._rank = folder, rank
        self._beat, self._silence = beat, silence
        self._seen: dict[int, tuple[str, float]] = {}  # the last sign, and when it was new here

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Inside, a thread gives signs of life."""
        ended = threading.Event()
        thread = threading.Thread(target=self._give, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(self._beat)  # no longer: the disk may hang
            with suppress(OSError):
                self._file(self._rank).unlink()
                self._folder.rmdir()  # the last one to leave

    def require(self, rank: int) -> None:
        """Look whether another process lives; to be asked for as long as one waits for it.

        Raises:
            LostProcessError: It has given no sign of life for too long.
        """
        now, sign = time.monotonic(), self._read(rank)
        last, since = self._seen.get(rank, (None, now))
        if sign != last:  # files of an earlier launch may lie there, so only a change counts
            self._seen[rank] = (sign, now)
        elif now - since > self._silence:
            raise LostProcessError(
                f"process {rank} of this launch has given no sign of life for "
                f"{self._silence:.0f} s",
                found=f"none in {self._folder}",
                fix="start the same command again; with several machines, put run=DIR on storage "
                "that all of them see",
            )

    def _give(self, ended: threading.Event) -> None:
        count = 0
        while True:
            count += 1
            with suppress(OSError):  # a full disk is found out by whoever has something to save
                self._folder.mkdir(exist_ok=True)
                self._file(self._rank).write_text(f"{time.time_ns()} {count}\n")
            if ended.wait(self._beat):
                return

    def _read(self, rank: int) -> str:
        try:
            return self._file(rank).read_text()
        except OSError:
            return ""

    def _file(self, rank: int) -> Path:
        return self._folder / str(rank)
