"""Jobs of a study that takes hours: each is done once, by one of several processes.

The figures of a job are a row of the study. A row whose settings are still those of its job is not
computed again. What a job leaves on the way lies in the work folder and is resumed.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot_core.runs.files import write_json

Rows = Mapping[str, Mapping[str, Any]]
"""Rows of a study by the keys of their jobs."""


@dataclass(frozen=True)
class Job:
    """What one process does at a time.

    Attributes:
        key: Name of its row.
        slug: Name of its run's folder, and of its lock.
        recipe: Its settings. They are kept in the row: a row with others is out of date.
        measure: Makes the rest of the row.
    """

    key: str
    slug: str
    recipe: list[str]
    measure: Callable[[], dict[str, Any]]

    def is_done(self, rows: Path) -> bool:
        """Whether a file of rows has the row of this job with the settings of now."""
        return bool(read_rows(rows).get(self.key, {}).get("recipe") == self.recipe)

    def run(self, rows: Path) -> None:
        """Measure, and add the row to a file of rows."""
        print(f"-- {self.key}", flush=True)
        merge_row(rows, self.key, {"recipe": self.recipe, **self.measure()})


def make_slug(*parts: object) -> str:
    """Join texts and numbers to the name of a folder: letters and digits with single dashes."""
    return "-".join("".join(c if c.isalnum() else " " for c in " ".join(map(str, parts))).split())


def run_jobs(jobs: Sequence[Job], work: Path, rows: Path) -> None:
    """Do one job after the other until none is left that no other process is at."""
    while missing := [job for job in jobs if not job.is_done(rows)]:
        for job in missing:
            with lock_file(work / "locks" / f"{job.slug}.lock", wait=False) as mine:
                if mine and not job.is_done(rows):
                    job.run(rows)
        time.sleep(1)  # what is left is with the other workers


def merge_row(path: Path, key: str, row: Mapping[str, Any]) -> None:
    """Add a row to the rows of all workers."""
    with lock_file(path.with_suffix(".lock"), wait=True):
        rows = read_rows(path)
        rows[key] = dict(row)
        write_json(path, rows)


def read_rows(path: Path) -> dict[str, Any]:
    """The rows so far."""
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def lock_file(path: Path, wait: bool) -> Iterator[bool]:
    """Try to hold a lock file inside; whether this process holds it, as with ``wait`` it does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:  # a file that is there keeps its content
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
            return
        yield True
