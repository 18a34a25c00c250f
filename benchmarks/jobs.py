"""Jobs of a benchmark that takes hours: each is done once, by one of several processes.

A job's figures are a row of the results; a row whose settings are still those of its job is not
computed again. What a job leaves on the way lies in the work folder and is resumed.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import RESULTS

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageData, ImageShape, load_images
from fewshot_core.pipeline.session import Session
from fewshot_core.recipe.load import LoadedRecipe, load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.files import write_json
from fewshot_core.runs.threads import available_cores
from tasks.cifar10.task import TASK

COLUMNS = ("cifar10", "cifar100")
"""Columns of the table of true values."""

SMALL_IMAGES = ("recipe=nasbench201", "data.image_size=16", "data.pad=2", "data.source=images")
"""CIFAR-10 in 16 pixels, of which a thread sees more in a second."""


@dataclass(frozen=True)
class Plan:
    """What the jobs of a study have in common.

    Attributes:
        table: The truth, a CSV file with the columns ``arch`` and :data:`COLUMNS`.
        words: Settings of every recipe.
        places: Where the images are; of no account for the results.
        work: Where jobs keep their runs.
    """

    table: Path
    words: tuple[str, ...]
    places: tuple[str, ...]
    work: Path


@dataclass(frozen=True)
class Task:
    """A job with its place in the results.

    Attributes:
        key: Name of its row.
        slug: Name of its folder.
        recipe: Its settings; a row with others is out of date.
        run: Makes the row, which has the settings under ``recipe``.
    """

    key: str
    slug: str
    recipe: list[str]
    run: Callable[[], dict[str, Any]]


Run = Callable[[Path, Path], int]


class Images:
    """The images of a seed, decoded once in a worker."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._data: ImageData | None = None

    def of(self, recipe: Recipe) -> ImageData:
        """The images that the recipe trains on."""
        key = (dataclasses.astuple(recipe.data), recipe.seed)
        if self._data is None or key != self._key:
            self._key, self._data = key, load_images(recipe.data, recipe.seed)
        return self._data


# -- the command line ------------------------------------------------------------------------------


def arguments(doc: str | None, work: Path) -> argparse.ArgumentParser:
    """The options that studies have in common; ``work`` is the default of ``--work``."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, metavar="DIR")
    parser.add_argument("--work", type=Path, default=work, metavar="DIR")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--quick", action="store_true", help="tiny budget, nothing is written")
    parser.add_argument("--show", action="store_true", help="no job, only what is there")
    parser.add_argument(
        "--markdown", action="store_true", help="print the tables for the docs, too"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def table_of(data: Path) -> Path:
    """The table of true accuracies in a folder of data sets."""
    return data / "nasbench201" / "accuracies.csv"


def places_of(data: Path) -> tuple[str, ...]:
    """Settings that name the CIFAR-10 images in a folder of data sets."""
    parts = (("root", "train.tar"), ("test_root", "test.tar"))
    return tuple(f"data.{key}={data / 'cifar10' / name}" for key, name in parts)


@contextmanager
def work_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where jobs are done: of ``--quick`` a folder that is gone afterwards."""
    if options.worker or not options.quick:
        yield options.work
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def run_study(options: argparse.Namespace, name: str, needed: Path | None, run: Run) -> int:
    """What a study's ``main`` does: look for its data, make its work folder, name its rows.

    Args:
        options: Of the command line.
        name: Its rows are kept in ``results/NAME_rows.json``; those of ``--quick`` are not.
        needed: The file of ``--data`` that it cannot do without, if any.
        run: From work folder and file of rows to the exit code.

    Returns:
        The exit code; without the data 2, and 0 for ``--quick``, which is skipped.
    """
    if needed is not None and not needed.exists():
        where = needed.relative_to(options.data)
        print(f"skipped: {options.data} holds no {where}; see --help for --data")
        return 0 if options.quick else 2
    with work_folder(options) as work:
        return run(work, work / "rows.json" if options.quick else RESULTS / f"{name}_rows.json")


def share_out(script: str, options: argparse.Namespace, work: Path, more: Sequence[str]) -> bool:
    """Run ``--workers`` processes of a script to their end; whether all of them reached it.

    Args:
        script: Its path.
        options: Of this process.
        work: Their work folder.
        more: Further words for them.
    """
    command = [sys.executable, script, "--worker", "--data", str(options.data)]
    command += ["--work", str(work), *more]
    command += ["--quick"] if options.quick else []
    # They share the cores that this process may use.
    threads = max(1, available_cores() // options.workers)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    workers = [subprocess.Popen(command, env=environment) for _ in range(options.workers)]
    codes = [worker.wait() for worker in workers]
    return not any(codes)


# -- rows ------------------------------------------------------------------------------------------


def take(tasks: Sequence[Task], work: Path, rows: Path) -> None:
    """Do one task after the other until none is left that no other process is at."""
    while missing := [task for task in tasks if not is_done(task, rows)]:
        for task in missing:
            with locked(work / "locks" / f"{task.slug}.lock", wait=False) as mine:
                if mine and not is_done(task, rows):
                    print(f"-- {task.key}", flush=True)
                    merge_row(rows, task.key, task.run())
        time.sleep(1)  # what is left is with the other workers


def is_done(task: Task, rows: Path) -> bool:
    """Whether the results have a row of the task with the settings of now."""
    return bool(read_rows(rows).get(task.key, {}).get("recipe") == task.recipe)


def merge_row(path: Path, key: str, row: Mapping[str, Any]) -> None:
    """Add a row to the results of all workers."""
    with locked(path.with_suffix(".lock"), wait=True):
        rows = read_rows(path)
        rows[key] = dict(row)
        write_json(path, rows)


def read_rows(path: Path) -> dict[str, Any]:
    """The rows so far."""
    return json.loads(path.read_text()) if path.exists() else {}


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[bool]:
    """Whether this process now holds the lock file; with ``wait`` it always does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:  # a file that is there keeps its content
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
            return
        yield True


# -- parts of a job --------------------------------------------------------------------------------


def images_seen(session: Session) -> int:
    """Images that all trainings of a run have shown."""
    states = [session.folder.checkpoint(region).state() for region, _ in session.tree.walk()]
    return sum(state.images for state in states)


def load_words(words: Sequence[str]) -> LoadedRecipe:
    """The recipe of a job, whose words are put together from parts: not every arm reads all."""
    return load_recipe(words, drop_unread=True)


def close(session: Session) -> None:
    """Leave a run, so that another can be opened."""
    session.accelerator.end_training()
    session.folder.close()


def costs_of(plan: Plan) -> CostTable:
    """The cost table of the study's networks."""
    recipe = load_words([*plan.words, *plan.places]).recipe
    return TASK.costs(recipe, ImageShape(3, recipe.data.image_size or 32, 10))
