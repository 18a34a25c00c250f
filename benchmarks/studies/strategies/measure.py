"""What the study of strategies measures: searches in a table, trial by trial."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.strategies.show import draw_curves, make_docs_tables, make_tables, summarise
from benchmarks.studies.strategies.table import (
    BENCHMARKS,
    METHODS,
    SCORES,
    Files,
    GuidedTable,
    Values,
    points_of,
    read_once,
)
from benchmarks.studies.study import Figures, Study
from fewshot_core.plugins import plugin
from fewshot_core.search.loop import run_search
from fewshot_core.search.strategies import Strategy, StrategyContext, make_strategy
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import new_study

EVALUATIONS = 300
"""Those of the study whose results have the plain name."""

USUAL = "nasbench201"
"""The table whose results have the plain name."""

QUICK_SEEDS = 5


class Strategies(Study):
    """Searches in a table, by every strategy and every guide."""

    module = "benchmarks.studies.strategies"
    folder = "runs/strategies"
    keeps_rows = False
    tables = staticmethod(make_tables)
    docs_tables = staticmethod(make_docs_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        column, self.evaluations = options.column, options.evaluations
        table = options.table
        self.needs = BENCHMARKS[table].file
        self.name = "strategies" + ("" if table == USUAL else f"_{table}")
        self.name += "" if column == "cifar10" else f"_{column}"
        self.name += "" if self.evaluations == EVALUATIONS else f"_{self.evaluations}"
        self.seeds = min(options.seeds, QUICK_SEEDS) if options.quick else options.seeds
        self.methods = options.methods or _installed_methods(options)
        folder = options.run and options.run / "scores"
        scores = [(name, folder / f"{name}.csv") for name in SCORES] if folder else []
        self.files = Files(options.data / self.needs, column, tuple(scores), table)
        self.guides = [self.files.truth_guide] if options.quick else self.files.guides

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--table", choices=BENCHMARKS, default=USUAL)
        parser.add_argument("--column", default="cifar10", help="column of the truth")
        parser.add_argument(
            "--run", type=Path, metavar="DIR", help="a run with scores of all cells"
        )
        parser.add_argument("--evaluations", type=int, default=EVALUATIONS, metavar="N")
        parser.add_argument("--seeds", type=int, default=20, metavar="N")
        parser.add_argument("--methods", nargs="+", choices=METHODS)

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        return [self._job(guide, method) for guide in self.guides for method in self.methods]

    def summarise(self, rows: Rows) -> dict[str, Any]:
        ordered = {job.key: rows[job.key] for job in self.jobs("all", rows)}
        return summarise(ordered, read_once(self.files), self.evaluations)

    def pictures(self, figures: Figures, rows: Rows) -> Iterator[tuple[str, Figure]]:
        yield self.name, draw_curves(figures)

    def problem(self, figures: Figures) -> str | None:
        broken = ", ".join(figures["broken"])
        return f"guided by the truth, not above random: {broken}" if broken else None

    def _job(self, guide: str, method: str) -> Job:
        key = f"{guide} | {method}"
        sizes = [f"{self.seeds} seeds", f"{self.evaluations} evaluations"]
        recipe = [f"strategy={method}", *sizes, *(str(path) for _, path in self.files.scores)]
        measure = partial(measure_method, self.files, guide, method, self.seeds, self.evaluations)
        return Job(key, make_slug(self.name, key), recipe, measure)


def _installed_methods(options: argparse.Namespace) -> Sequence[str]:
    if find_spec("smac") is not None:
        return METHODS
    if not (options.worker or options.show):
        print("without smac, which is not installed: pip install 'fewshot-nas[smac]'")
    return [method for method in METHODS if method != "smac"]


class Lookup:
    """An evaluator that looks scores up in a table."""

    def __init__(self, table: GuidedTable, values: Values) -> None:
        self.table, self.values = table, values

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return {"score": self.values[self.table.row(architecture)]}


def measure_method(
    files: Files, guide: str, method: str, seeds: int, evaluations: int
) -> dict[str, Any]:
    """Search with a method and a guide, once for each seed; returns the row."""
    table = read_once(files)
    runs = [search_once(table, guide, method, seed, evaluations) for seed in range(seeds)]
    return {"guide": guide, "method": method, "runs": runs}


def search_once(
    table: GuidedTable, guide: str, method: str, seed: int, evaluations: int
) -> dict[str, Any]:
    """Search, guided by a score and judged by the truth.

    Returns:
        After the trials of :func:`points_of`: ``oracle``, the best truth among the cells seen,
        which nobody without the truth could pick, and ``deployed``, the truth of the cell with the
        best score so far, which the search hands over. ``first`` is the number of the trial that
        met one of the best 0.1 %, one more than all where none did; ``distinct`` is the number of
        different cells that were asked for, ``seconds`` the processor time of the search.
    """
    region = Region.root(table.space)
    began = time.process_time()
    study, strategy = prepare_search(method, region, accepts=table.knows)
    done = run_search(
        study,
        region,
        strategy,
        Lookup(table, table.guides[guide]),
        table.knows,
        count=evaluations,
        seed=derive_seed(seed, "strategies", method),
    )
    seconds = time.process_time() - began
    scores = np.array([trial.score for trial in done])
    truth = np.array([table.truth[table.row(trial.architecture)] for trial in done])
    places = [point - 1 for point in points_of(evaluations)]
    return {
        "oracle": np.maximum.accumulate(truth)[places].tolist(),
        "deployed": truth[_find_best(scores)][places].tolist(),
        "first": int(np.argmax([*(truth >= table.top), True])) + 1,
        "distinct": len({trial.architecture for trial in done}),
        "seconds": seconds,
    }


def _find_best(scores: NDArray[np.float64]) -> list[int]:
    """After each trial, the place of the best so far, the earliest of equals."""
    best, places = 0, []
    for place, score in enumerate(scores):
        if score > scores[best]:
            best = place
        places.append(best)
    return places


def prepare_search(
    method: str,
    region: Region,
    cost: Callable[[Architecture], float] = lambda architecture: 0.0,
    accepts: Callable[[Architecture], bool] = lambda architecture: True,
) -> tuple[optuna.Study, Strategy]:
    """Make a strategy with its default settings, and a study in memory for it."""
    settings = plugin("strategy", method).default()
    strategy = make_strategy(settings, StrategyContext(region, accepts, cost))
    return new_study(strategy.directions), strategy
