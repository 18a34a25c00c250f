"""What a strategy costs beside its evaluations, and what keeping the trials costs.

Evaluations take no time here, so all of the time is the strategy's, Optuna's and the loop's. Ratios
and milliseconds are of one run on one machine.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console
from rich.table import Table

from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.loop import run_search
from fewshot_core.search.strategies import make_strategy
from fewshot_core.search.study import distributions, keep, open_study, trials
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import new_study
from tasks.cifar10.task import TASK

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
        "strategies": {name: strategy(root, name, count) for name, count in lengths.items()},
        "storage": storage(root, written),
    }


def strategy(root: Region, name: str, evaluations: int) -> dict[str, Any]:
    """Milliseconds of processor time per evaluation, over equal blocks of a search in memory.

    Of each block the fastest of :data:`REPEATS`: what else runs on a machine only ever slows it.
    """
    every = [_blocks(root, name, evaluations) for _ in range(REPEATS)]
    blocks = [min(times) for times in zip(*every, strict=True)]
    return {
        "evaluations": evaluations,
        "ms": statistics.fmean(blocks),
        "ms_by_block": blocks,
        "last_to_first": blocks[-1] / blocks[0],
    }


def _blocks(root: Region, name: str, evaluations: int) -> list[float]:
    marks = [time.process_time()]
    block = evaluations // BLOCKS

    def mark(spent: float, best: float) -> None:
        if spent and spent % block == 0:
            marks.append(time.process_time())

    made = make_strategy(StrategySettings(name), root, _anything, cost=_cost)
    study = new_study(made.directions)
    marks[0] = time.process_time()
    run_search(study, root, made, Nothing(), _anything, count=evaluations, seed=0, on_trial=mark)
    return [1000 * (b - a) / block for a, b in itertools.pairwise(marks)]


def storage(root: Region, count: int) -> dict[str, Any]:
    """Milliseconds of the clock per trial, most of which waits for the disk, and to open again.

    The median of :data:`REPEATS` rounds, for a disk has others to serve.
    """
    done = [
        Trial(number, architecture, number / count, {"score": 0.5, "accuracy": 50.0, "loss": 1.0})
        for number, architecture in zip(range(count), root.enumerate(), strict=False)
    ]
    rounds = [_round(root, done) for _ in range(REPEATS)]
    return {"trials": count} | {
        kind: {name: statistics.median(one[kind][name] for one in rounds) for name in figures}
        for kind, figures in rounds[0].items()
    }


def _round(root: Region, done: Sequence[Trial]) -> dict[str, dict[str, float]]:
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

    found = {"memory": {"ms": 1000 * _clock(lambda: write(new_study())) / len(done)}}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for kind, file in (("journal", "study.log"), ("sqlite", "study.db")):
            place = Path(folder) / file
            study, other = open_study(place, "search"), open_study(place.with_stem("other"), "s")
            found[kind] = {
                "ms": 1000 * _clock(partial(write, study)) / len(done),
                "ms_to_open": 1000 * _clock(partial(read, place)),
                "ms_by_ask_and_tell": 1000 * _clock(partial(ask_and_tell, other)) / len(asked),
                "bytes": place.stat().st_size / len(done),
            }
    return found


def show(figures: dict[str, Any]) -> None:
    """Print both tables."""
    console = Console(width=120)
    table = Table("strategy", "evaluations", "ms each", "first fifth", "last fifth", "last : first")
    for name, row in figures["strategies"].items():
        blocks = row["ms_by_block"]
        table.add_row(
            name,
            f"{row['evaluations']:,}",
            f"{row['ms']:.2f}",
            f"{blocks[0]:.2f}",
            f"{blocks[-1]:.2f}",
            f"{row['last_to_first']:.2f}",
        )
    console.print(table)
    kept = figures["storage"]
    table = Table("storage", "ms a trial", "by ask and tell", f"ms to open {kept['trials']:,}")
    table.add_row("memory", f"{kept['memory']['ms']:.2f}", "", "")
    for name in ("journal", "sqlite"):
        row = kept[name]
        table.add_row(
            name,
            f"{row['ms']:.2f}",
            f"{row['ms_by_ask_and_tell']:.1f}",
            f"{row['ms_to_open']:.0f}",
        )
    console.print(table)


def _clock(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _cost(architecture: Architecture) -> float:
    return float(sum(choice == "nor_conv_3x3" for choice in architecture.choices))


def _anything(architecture: Architecture) -> bool:
    return True
