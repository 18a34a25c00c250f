"""The command that every study is: workers do its jobs, then their rows are summed up and shown.

A study is a subclass of :class:`Study` and a call of :func:`main`. Stop it at any time, and start
it again: what is done is kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure

from benchmarks.studies.jobs import Job, Rows, read_rows, run_jobs
from benchmarks.studies.record import PICTURES, RESULTS, ROOT, read_figures, write_results
from benchmarks.studies.tables import Table
from fewshot_core.report.canvas import save_png
from fewshot_core.runs.threads import available_cores

Figures = Mapping[str, Any]
"""What the rows of a study come to, as it is written to its results."""


class Study(ABC):
    """A question, the jobs whose rows answer it, and what the rows come to.

    Attributes:
        module: What ``python -m`` runs.
        folder: Where jobs keep their runs by default.
        stages: Its parts in their order; the jobs of one may depend on the rows of those before.
        first_stages: Those that are done unless ``--stages`` says otherwise; of ``--quick`` all.
        keeps_rows: Whether rows are results. If not, they lie in the work folder until the figures
            are written, and ``--show`` shows the figures.
        needs: The file or folder of ``--data`` that it cannot do without, if any.
        name: Its files are ``results/NAME_rows.json``, ``results/NAME.json`` and pictures.
        seeds: Number of seeds, which is written beside the figures.
    """

    module: ClassVar[str]
    folder: ClassVar[str]
    stages: ClassVar[tuple[str, ...]] = ("all",)
    first_stages: ClassVar[tuple[str, ...] | None] = None
    keeps_rows: ClassVar[bool] = True
    needs: str | None = None
    name: str
    seeds: int

    @abstractmethod
    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        """Prepare, without reading anything; jobs keep their runs in the folder ``work``."""

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Add options of its own."""
        return

    @abstractmethod
    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        """The jobs of a stage, in the order in which they are begun.

        Args:
            stage: One of :attr:`stages`.
            rows: What is done when the stage begins.
        """

    @abstractmethod
    def summarise(self, rows: Rows) -> dict[str, Any]:
        """The figures of the rows that are there."""

    @abstractmethod
    def tables(self, figures: Figures) -> list[Table]:
        """The figures for the terminal."""

    def docs_tables(self, figures: Figures) -> list[Table]:
        """The figures for the docs, by default the same tables."""
        return self.tables(figures)

    def pictures(self, figures: Figures, rows: Rows) -> Iterator[tuple[str, Figure]]:
        """Pictures for the docs, each with its name."""
        return iter(())

    def problem(self, figures: Figures) -> str | None:
        """What the figures say is broken; the exit code is 1 then."""
        return None


def main(study: type[Study], doc: str | None, words: Sequence[str] | None = None) -> int:
    """Run the command of a study.

    Args:
        study: The study.
        doc: Text of ``--help``.
        words: Words of the command line, by default those of this process.

    Returns:
        The exit code. Without the data it is 2, or 0 for ``--quick``, which is skipped.
    """
    words = sys.argv[1:] if words is None else words
    options = make_parser(study, doc).parse_args(words)
    with _work_folder(options) as work:
        made = study(options, work)
        only_figures = options.show and not study.keeps_rows
        if made.needs and not (options.data / made.needs).exists() and not only_figures:
            print(f"skipped: {options.data} holds no {made.needs}; see --help for --data")
            return 0 if options.quick else 2
        return _run(made, options, work, words)


def _run(study: Study, options: argparse.Namespace, work: Path, words: Sequence[str]) -> int:
    kept = study.keeps_rows and not options.quick
    path = (RESULTS if kept else work) / f"{study.name}_rows.json"
    if options.worker:
        for stage in _choose_stages(study, options):
            run_jobs(study.jobs(stage, read_rows(path)), work, path)
        return 0
    if not options.show and not _share_out(study, options, work, words):
        return 1
    if options.show and not study.keeps_rows:
        figures, fresh = read_figures(study.name), False
    else:
        figures, fresh = study.summarise(read_rows(path)), not options.quick
    for table in study.tables(figures):
        table.show()
    if fresh:
        for name, picture in study.pictures(figures, read_rows(path)):
            save_png(picture, PICTURES, name)
            print(PICTURES / f"{name}.png")
        print(write_results(study.name, figures, range(study.seeds)))
        if not study.keeps_rows:
            path.unlink()
    if options.markdown:
        print("\n\n".join(table.markdown() for table in study.docs_tables(figures)))
    if problem := study.problem(figures):
        print(problem)
    return int(problem is not None)


def make_parser(study: type[Study], doc: str | None) -> argparse.ArgumentParser:
    """The options of a study's command; ``doc`` is the text of ``--help``."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {study.module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    beside = ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, metavar="DIR")
    parser.add_argument("--work", type=Path, default=Path(study.folder), metavar="DIR")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--quick", action="store_true", help="tiny budget, nothing is written")
    parser.add_argument("--show", action="store_true", help="no job, only what is there")
    parser.add_argument("--markdown", action="store_true", help="print tables for the docs, too")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    about = argparse.SUPPRESS if len(study.stages) == 1 else "the parts to do"
    parser.add_argument("--stages", nargs="+", choices=study.stages, help=about)
    study.add_options(parser)
    return parser


def _choose_stages(study: Study, options: argparse.Namespace) -> list[str]:
    usual = study.stages if options.quick else study.first_stages or study.stages
    return [stage for stage in study.stages if stage in (options.stages or usual)]


@contextmanager
def _work_folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where jobs are done: of ``--quick`` a folder that is gone afterwards."""
    if options.worker or not options.quick:
        yield options.work
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _share_out(study: Study, options: argparse.Namespace, work: Path, words: Sequence[str]) -> bool:
    """Run ``--workers`` processes of the study to their end; whether all of them reached it."""
    command = [sys.executable, "-m", study.module, *words, "--worker", "--work", str(work)]
    # They share the cores that this process may use, unless it was told how many threads to have:
    # where cores are busy with other work, two threads that wait for each other take far longer.
    threads = max(1, available_cores() // options.workers)
    environment = {"OMP_NUM_THREADS": str(threads)} | os.environ
    workers = [subprocess.Popen(command, env=environment) for _ in range(options.workers)]
    codes = [worker.wait() for worker in workers]  # of every worker, also after one has failed
    return not any(codes)
