"""Search strategies in a table: what they find, guided by scores, and what they cost.

    python benchmarks/strategies.py --data ../shared/data --run runs/nasbench201
    python benchmarks/strategies.py --data ../shared/data --column cifar100 --run runs/nasbench201
    python benchmarks/strategies.py --data ../shared/data --quick     a minute; writes nothing
    python benchmarks/strategies.py --overhead                        no table; adds to the results
    python benchmarks/strategies.py --show                            what the results say

DATA holds `nasbench201/accuracies.csv`, whose column is the truth. A run that `tools/rank.py` has
ranked holds `scores/one-shot.csv` and `scores/few-shot.csv`. Every strategy makes as many
evaluations, guided by each of: the run's scores (negative loss), the truth itself, and the number
of connected parameters. After each trial two figures are taken:

- oracle: the best truth among the cells seen. It is what the literature plots, and takes the truth
  to be picked.
- deployed: the truth of the cell with the best score so far, which a user would get.

Guided by the truth, REA, TPE, BOHB and SMAC have to beat random search in the median, or they are
broken: exit code 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import strategies_overhead
from record import RESULTS, write_results
from strategies_runs import METHODS, Curves, Files, Table, run
from strategies_show import markdown, show, summary, write_plots

NAME = "strategies"
SCORES = ("one-shot", "few-shot")

Task = tuple[str, str, int, int]
"""Guide, method, seed, evaluations."""


def main() -> int:
    options = _options()
    if options.overhead:
        lengths = (500, 100, 40) if options.quick else (5000, 1000, 500)
        figures = strategies_overhead.measure(*lengths)
        strategies_overhead.show(figures)
        if not options.quick:
            print(write_results(f"{NAME}_overhead", figures, [0]))
        return 0
    if options.show:
        return _show(json.loads((RESULTS / _name(options)).with_suffix(".json").read_text()))
    truth = options.data / "nasbench201" / "accuracies.csv"
    if not truth.is_file():
        print(f"skipped: {truth} does not exist; see --help for --data")
        return 0 if options.quick else 2
    files = Files(truth, options.column, tuple(_scores(options.run)))
    figures = summary(_searches(options, files), files.read())
    show(figures)
    if options.quick:
        return 1 if figures["broken"] else 0
    path = write_results(_name(options), figures, range(options.seeds))
    for picture in write_plots(figures, _name(options)):
        print(picture)
    print(path)
    return _show(json.loads(path.read_text()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=beside, metavar="DIR")
    parser.add_argument("--column", default="cifar10", help="column of the truth")
    parser.add_argument("--run", type=Path, metavar="DIR", help="a run with scores of all cells")
    parser.add_argument("--evaluations", type=int, default=300, metavar="N")
    parser.add_argument("--seeds", type=int, default=20, metavar="N")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=None)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), metavar="N")
    parser.add_argument("--quick", action="store_true", help="few seeds, nothing is written")
    parser.add_argument("--overhead", action="store_true", help="what strategies and storage cost")
    parser.add_argument("--show", action="store_true", help="tables of the results, no search")
    options = parser.parse_args()
    if options.quick:
        options.seeds = min(options.seeds, 5)
    if options.methods is None:
        options.methods = [m for m in METHODS if m != "smac" or find_spec("smac") is not None]
        if "smac" not in options.methods:
            print("without smac, which is not installed: pip install 'fewshot-nas[smac]'")
    return options


def _name(options: argparse.Namespace) -> str:
    length = "" if options.evaluations == 300 else f"_{options.evaluations}"
    return NAME + ("" if options.column == "cifar10" else f"_{options.column}") + length


def _scores(folder: Path | None) -> Iterator[tuple[str, Path]]:
    for name in SCORES if folder else ():
        assert folder is not None
        yield name, folder / "scores" / f"{name}.csv"


def _searches(options: argparse.Namespace, files: Files) -> dict[tuple[str, str], list[Curves]]:
    """All searches, by guide and method, in the order of their seeds."""
    table = files.read()
    guides = [g for g in table.guides if not options.quick or table.guides[g] is table.truth]
    tasks: list[Task] = [
        (guide, method, seed, options.evaluations)
        for guide in guides
        for method in options.methods
        for seed in range(options.seeds)
    ]
    began, found = time.monotonic(), {}
    for count, (task, curves) in enumerate(_done(tasks, files, table, options.workers), start=1):
        found[task] = curves
        if count % 50 == 0 or count == len(tasks):
            print(f"{count}/{len(tasks)} searches, {time.monotonic() - began:.0f} s", flush=True)
    return {
        (guide, method): [
            found[guide, method, s, options.evaluations] for s in range(options.seeds)
        ]
        for guide in guides
        for method in options.methods
    }


_TABLES: dict[str, Table] = {}
"""The table of a worker process, read when it starts."""


def _done(
    tasks: list[Task], files: Files, table: Table, workers: int
) -> Iterator[tuple[Task, Curves]]:
    if workers == 1:
        yield from ((task, run(table, *task)) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (files,)) as pool:
        yield from pool.imap_unordered(_work, tasks, chunksize=4)


def _start(files: Files) -> None:
    _TABLES["table"] = files.read()


def _work(task: Task) -> tuple[Task, Curves]:
    return task, run(_TABLES["table"], *task)


def _show(results: Mapping[str, Any]) -> int:
    figures = results["figures"]
    print(markdown(figures))
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    # Searches share the machine; numerical libraries that take all of it would slow each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
