"""What a strategy costs beside its evaluations, and what keeping the trials costs.

    python -m benchmarks.overhead             writes results/strategies_overhead.json
    python -m benchmarks.overhead --quick     few trials; writes nothing

Evaluations take no time here, so all of the time is the strategy's, Optuna's and the loop's. Ratios
and milliseconds are of one run on one machine.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from benchmarks.studies.record import time_call, write_results
from benchmarks.studies.strategies.measure import prepare_search
from benchmarks.studies.tables import Table
from fewshot_core.recipe.load import load_recipe
from fewshot_core.search.loop import run_search
from fewshot_core.search.study import distributions, keep, open_study, trials
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import new_study
from fewshot_tasks.cifar10.task import TASK

LONG = ("random", "rea", "reinforce", "hyperband")
"""Strategies whose cost must not grow with the trials."""

MODELS = ("nsga2", "tpe", "bohb", "smac")
"""Strategies that look at all trials again; a search with them is shorter."""

BLOCKS, REPEATS = 5, 3


class Nothing:
    """An evaluator that takes no time."""

    def evaluate(self, architecture: Architecture) -> dict[str, float]:
        return {"score": sum(map(len, map(str, architecture.choices))) / 70.0}


def measure(evaluations: int, modelled: int, written: int) -> dict[str, Any]:
    """Both measurements.

    Args:
        evaluations: Trials of a search with a strategy of :data:`LONG`.
        modelled: The same for one of :data:`MODELS`.
        written: Trials that are kept in each kind of storage.
    """
    root = Region.root(TASK.space(load_recipe(["recipe=nasbench201"]).recipe))
    lengths = {**dict.fromkeys(LONG, evaluations), **dict.fromkeys(MODELS, modelled)}
    return {
        "strategies": {
            name: measure_strategy(root, name, count) for name, count in lengths.items()
        },
        "storage": measure_storage(root, written),
    }


def measure_strategy(root: Region, name: str, evaluations: int) -> dict[str, Any]:
    """Milliseconds of processor time per evaluation, over equal blocks of a search in memory.

    Of each block the fastest of :data:`REPEATS`: what else runs on a machine only ever slows it.
    """
    every = [_time_blocks(root, name, evaluations) for _ in range(REPEATS)]
    blocks = [min(times) for times in zip(*every, strict=True)]
    return {
        "evaluations": evaluations,
        "ms": statistics.fmean(blocks),
        "ms_by_block": blocks,
        "last_to_first": blocks[-1] / blocks[0],
    }


def _time_blocks(root: Region, name: str, evaluations: int) -> list[float]:
    marks = [time.process_time()]
    block = evaluations // BLOCKS

    def mark(spent: float, best: float) -> None:
        if spent and spent % block == 0:
            marks.append(time.process_time())

    study, made = prepare_search(name, root, _cost)
    marks[0] = time.process_time()
    run_search(
        study, root, made, Nothing(), lambda _: True, count=evaluations, seed=0, on_trial=mark
    )
    return [1000 * (b - a) / block for a, b in itertools.pairwise(marks)]


def measure_storage(root: Region, count: int) -> dict[str, Any]:
    """Milliseconds of the clock per trial, most of which waits for the disk, and to open again.

    The median of :data:`REPEATS` rounds, for a disk has others to serve.
    """
    done = [
        Trial(number, architecture, number / count, {"score": 0.5, "accuracy": 50.0, "loss": 1.0})
        for number, architecture in zip(range(count), root.enumerate(), strict=False)
    ]
    rounds = [_time_round(root, done) for _ in range(REPEATS)]
    return {"trials": count} | {
        kind: {name: statistics.median(one[kind][name] for one in rounds) for name in figures}
        for kind, figures in rounds[0].items()
    }


def _time_round(root: Region, done: Sequence[Trial]) -> dict[str, dict[str, float]]:
    asked = done[: max(1, len(done) // 10)]

    def write(study: optuna.Study) -> None:
        for trial in done:
            keep(study, root, trial, [trial.score])

    def ask_and_tell(study: optuna.Study) -> None:
        """As Optuna does without our copy in memory: a write for every decision."""
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        for trial in asked:
            handle = study.ask(distributions(root))
            handle.set_user_attr("metrics", dict(trial.metrics))
            study.tell(handle, trial.score)

    def read(place: Path) -> None:
        trials(open_study(place, "search"), root)

    found = {"memory": {"ms": 1000 * time_call(lambda: write(new_study())) / len(done)}}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for kind, file in (("journal", "study.log"), ("sqlite", "study.db")):
            place = Path(folder) / file
            study, other = open_study(place, "search"), open_study(place.with_stem("other"), "s")
            found[kind] = {
                "ms": 1000 * time_call(partial(write, study)) / len(done),
                "ms_to_open": 1000 * time_call(partial(read, place)),
                "ms_by_ask_and_tell": 1000 * time_call(partial(ask_and_tell, other)) / len(asked),
                "bytes": place.stat().st_size / len(done),
            }
    return found


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """What strategies cost, and what storage does."""
    header = ("strategy", "evaluations", "ms each", "first fifth", "last fifth", "last : first")
    lines = []
    for name, row in figures["strategies"].items():
        blocks = row["ms_by_block"]
        times = [f"{ms:.2f}" for ms in (row["ms"], blocks[0], blocks[-1], row["last_to_first"])]
        lines.append([name, f"{row['evaluations']:,}", *times])
    kept = figures["storage"]
    stored = [["memory", f"{kept['memory']['ms']:.2f}", "", ""]]
    for name in ("journal", "sqlite"):
        row = kept[name]
        tell, reopen = f"{row['ms_by_ask_and_tell']:.1f}", f"{row['ms_to_open']:.0f}"
        stored.append([name, f"{row['ms']:.2f}", tell, reopen])
    where = ("storage", "ms a trial", "by ask and tell", f"ms to open {kept['trials']:,}")
    return [Table("strategies", header, lines), Table("storage", where, stored)]


def _cost(architecture: Architecture) -> float:
    return float(sum(choice == "nor_conv_3x3" for choice in architecture.choices))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few trials, nothing is written")
    quick = parser.parse_args().quick
    figures = measure(*((500, 100, 40) if quick else (5000, 1000, 500)))
    for table in make_tables(figures):
        table.show()
    if not quick:
        print(write_results("strategies_overhead", figures, [0]))


if __name__ == "__main__":
    main()
