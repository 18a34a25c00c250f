"""What a run tells its user: progress bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_WIDTH = 140
"""Columns of a line where the output is no terminal."""

PLAIN_SECONDS = 15.0
"""Without a terminal, a progress line at most this often."""


class Ticker(Protocol):
    """Handle of a running progress display."""

    def __call__(self, done: int, note: str = "") -> None:
        """Say how many units are done in all."""


class Tracker(Protocol):
    """What trackers are told."""

    def log(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """Values of a step of a curve."""

    def show(self, path: Path) -> None:
        """A picture, a PNG file."""


class Follower(Protocol):
    """What is told how far the work has come, and which trials a search has made."""

    def beat(self, title: str, done: int, total: int) -> None:
        """Units of what is called ``title`` are done."""

    def add_trial(self, row: Mapping[str, Any]) -> None:
        """A trial, as :func:`fewshot_core.pipeline.trials.trial_row` has it."""


class Console:
    """The lines and progress bars of a run.

    Args:
        writes: Whether this process writes; on the others of a launch nothing is shown.
        rich: Where to write; by default the standard output.
    """

    def __init__(self, writes: bool = True, rich: RichConsole | None = None) -> None:
        self._writes = writes
        # Where nobody sets a width (a pipe, a log file), tables must not be cut to 80 columns.
        width = None if sys.stdout.isatty() else PLAIN_WIDTH
        self.tracking: Tracker | None = None
        """Who is told values of the run, besides its user."""
        self.follower: Follower | None = None
        """What else follows the progress of the run, such as its report."""
        how: dict[str, Any] = {"quiet": not writes, "highlight": False, "width": width}
        if rich is None and RichConsole().is_jupyter:
            # Plain lines: rich would send each as a page of its own, and kernels ask for colours.
            how |= {"force_jupyter": False, "force_terminal": False}
        self.rich = rich or RichConsole(**how)

    def print(self, *parts: Any) -> None:
        """A line, in which nothing is markup (names may look like it), or what rich can draw."""
        if not self._writes:
            return
        text = all(isinstance(part, str) for part in parts)
        # A line stays one, however long the path in it.
        self.rich.print(*parts, markup=not text, soft_wrap=text)

    def track(self, curve: str, step: int, values: Mapping[str, float]) -> None:
        """Send values to trackers, where there are any (:mod:`fewshot_core.runs.tracking`)."""
        if self.tracking is not None:
            self.tracking.log(curve, step, values)

    @contextmanager
    def progress(self, title: str, total: int, done: int = 0) -> Iterator[Ticker]:
        """Show the progress of ``total`` units."""
        if not self._writes:
            yield lambda done, note="": None
        elif self.rich.is_terminal:
            with self._bar() as bar:
                task = bar.add_task(title, total=total, completed=done, note="")

                def show(done: int, note: str = "") -> None:
                    bar.update(task, completed=done, note=note)

                yield self._followed(title, total, show)
        else:
            yield self._followed(title, total, _plain(self, title, total, done))

    def _followed(self, title: str, total: int, show: Ticker) -> Ticker:
        def tick(done: int, note: str = "") -> None:
            show(done, note)
            if self.follower is not None:
                self.follower.beat(title, done, total)

        return tick

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.rich,
        )


def _plain(console: Console, title: str, total: int, done: int) -> Ticker:
    start = last = time.monotonic()
    first = done

    def tick(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_SECONDS and done < total:
            return
        last = now
        passed = now - start
        left = passed / max(1, done - first) * (total - done)
        console.print(f"{title}: {done}/{total}, {passed:.0f} s, {left:.0f} s left {note}".rstrip())

    return tick
