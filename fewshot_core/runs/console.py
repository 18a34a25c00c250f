"""What a run tells its user: progress bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich import box
from rich.cells import cell_len
from rich.console import Console as RichConsole
from rich.console import ConsoleOptions
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

PLAIN_WIDTH = 200
"""Columns of a line where the output is no terminal."""

COMMAND = "fewshot "
"""What a line has that a user may copy from the terminal: it is left to the terminal to break."""

LONGEST_WORD = 16
"""Characters of a table's words that no column is made narrower for; longer ones are folded."""

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
        known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
        width = None if known else PLAIN_WIDTH
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
        """A line, in which nothing is markup (names may look like it), or what rich can draw.

        Terminals get a long sentence in lines that end between words; a word stays whole, however
        long the path in it, and so does a line with a command. Elsewhere a line stays one.
        """
        if not self._writes:
            return
        text = all(isinstance(part, str) for part in parts)
        if text and self.rich.is_terminal:
            parts = tuple(wrap(line, self.rich.width) for line in " ".join(parts).split("\n"))
            self.rich.print(*parts, markup=False, soft_wrap=True, sep="\n")
            return
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


def wrap(line: str, width: int) -> str:
    """A line for a terminal of so many columns, broken between words; see :meth:`Console.print`."""
    if len(line) <= width or COMMAND in line:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(
        line,
        width,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


@dataclass(frozen=True)
class FittedTable:
    """A table whose columns keep their words whole, as far as the console is wide enough.

    What does not fit is folded, and nothing is ever cut.

    Attributes:
        title: Above it; empty: none.
        header: Names of the columns.
        rows: Their cells.
        numbers: Whether all columns but the first are numbers, which stand to the right.
        caption: Below it; empty: none.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: bool = False
    caption: str = ""

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> Iterator[Table]:
        """The table for this width, as rich asks for it."""
        count = len(self.header)
        gap, widths = 1, self._widths(options.max_width - 2 * count + 1)
        if self._folds(widths):
            gap, widths = 0, self._widths(options.max_width - count + 1)
        table = Table(
            title=escape(self.title) or None,
            title_justify="left",
            caption=escape(self.caption) or None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            padding=(0, gap, 0, 0),
        )
        for place, (name, width) in enumerate(zip(self.header, widths, strict=True)):
            right = place and self.numbers
            table.add_column(
                escape(name), justify="right" if right else "left", overflow="fold", width=width
            )
        for row in self.rows:
            table.add_row(*map(escape, row))
        yield table

    def _words(self) -> list[int]:
        """The length of the longest word of each column."""
        columns = zip(self.header, *self.rows, strict=True)
        return [max(cell_len(w) for cell in one for w in cell.split() or [""]) for one in columns]

    def _folds(self, widths: Sequence[int]) -> bool:
        """Whether a word that is not too long for a table is folded."""
        pairs = zip(widths, self._words(), strict=True)
        return any(width < min(word, LONGEST_WORD) for width, word in pairs)

    def _widths(self, room: int) -> list[int]:
        """The width of each column, so that all together have no more than ``room``."""
        columns = [[name, *cells] for name, *cells in zip(self.header, *self.rows, strict=True)]
        whole = [max(cell_len(cell) for cell in one) for one in columns]
        words = self._words()
        cap = LONGEST_WORD
        while cap > 1 and sum(min(word, cap) for word in words) > room:
            cap -= 1
        widths = [max(1, min(word, cap)) for word in words]
        for _ in range(room - sum(widths)):
            short = [place for place, width in enumerate(widths) if width < whole[place]]
            if not short:
                break
            widths[min(short, key=lambda place: widths[place])] += 1
        return widths
