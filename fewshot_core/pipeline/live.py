"""The report of a run that goes on: the same page, written anew now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from fewshot_core.errors import FewshotError
from fewshot_core.pipeline.run import Run

FIRST = 5.0
"""Seconds after which a run has its first page; a shorter run has that of its end alone."""

EVERY = 15.0
"""Seconds between two pages, at least."""

SHARE = 0.03
"""Share of the time that pages may take, at most; where they take long, they come less often."""


class LiveReport:
    """Writes the page of a run while it goes on, as a follower of its console.

    Whatever goes wrong with a page is said once, and the run goes on without further ones.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._trials: list[Mapping[str, Any]] = []
        self._due = time.monotonic() + FIRST

    def add_trial(self, row: Mapping[str, Any]) -> None:
        """Keep a trial for the next page."""
        self._trials.append(row)

    def beat(self, title: str, done: int, total: int) -> None:
        """Write the page if it is time to."""
        began = time.monotonic()
        if began < self._due:
            return
        try:
            self._write(title, done, total)
        except Exception as error:  # a picture is no reason to lose a search
            what = str(error) if isinstance(error, FewshotError) else repr(error)
            self._run.console.print(f"no report while the run goes on: {what[:200]}")
            self._due = float("inf")
            return
        now = time.monotonic()
        self._due = now + max(EVERY, (now - began) / SHARE)

    def _write(self, title: str, done: int, total: int) -> None:
        # matplotlib takes its time to import; a run that is over soon has no use for it yet.
        from fewshot_core.pipeline.report import write_live_report
        from fewshot_core.report.page import Doing

        at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        write_live_report(self._run, Doing(title, done, total, at), self._trials)


@contextmanager
def reporting(run: Run) -> Iterator[None]:
    """Inside, the report of the run is written while it goes on; by the process that writes."""
    if not run.writes:
        yield
        return
    run.console.follower = LiveReport(run)
    try:
        yield
    finally:
        run.console.follower = None
