"""Whether supernets that train many architectures in one step rank as well, at equal images.

    python benchmarks/together.py --data ../shared/data             an hour of two cores; resumes
    python benchmarks/together.py --data ../shared/data --quick     minutes; writes nothing
    python benchmarks/together.py --data ../shared/data --show      the table of what is there

`paths.together=K` takes one step where single paths take K, each with the mean of K gradients. The
arms see the same number of images; what they differ in is how many make a step, and the learning
rate. Of each size of a step several rates are tried on the first seed, and the one whose cells have
the lowest mean loss on the validation images goes on to the other seeds: the true accuracies that
the arms are ranked against choose nothing.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jobs import (
    COLUMNS,
    SMALL_IMAGES,
    Images,
    Task,
    arguments,
    places_of,
    read_rows,
    run_study,
    share_out,
    table_of,
    take,
)
from ranking_arms import Arm
from ranking_jobs import Job, RankingPlan, run_job
from record import write_results
from rich.console import Console
from tables import grid

SCORE = "recalibrated, loss"
SHOWN = ("iso_cost_tau", "tau", "best_true")


@dataclass(frozen=True)
class Step(Arm):
    """One supernet, with so many architectures of so many images each in a step."""

    together: int = 1
    part: int = 64
    lr: float = 0.05

    def words(self, epochs: float) -> list[str]:
        """The settings for a budget of ``epochs`` passes over the training images."""
        return [
            *self.split,
            f"supernet.paths={self.paths}",
            f"supernet.paths.together={self.together}",
            f"supernet.batch_size={self.together * self.part}",
            f"supernet.lr={self.lr:g}",
            f"supernet.epochs={epochs:g}",
        ]


@dataclass(frozen=True)
class Size:
    """Sizes of the study; ``steps`` are (together, images of a part, learning rates)."""

    epochs: float
    seeds: int
    cells: int
    steps: tuple[tuple[int, int, tuple[float, ...]], ...]
    words: tuple[str, ...]


FULL = Size(
    epochs=6,
    seeds=3,
    cells=300,
    steps=((1, 64, (0.05, 0.1)), (20, 16, (0.2, 0.4))),
    words=("evaluator.images=1000", "evaluator.recalibrate=256"),
)
QUICK = Size(
    epochs=0.5,
    seeds=1,
    cells=50,
    steps=((1, 64, (0.05,)), (5, 16, (0.1,))),
    words=("data.limit=2000", "evaluator.images=128", "evaluator.recalibrate=128"),
)


def main() -> int:
    options = arguments(__doc__, Path("runs/together")).parse_args()
    size = QUICK if options.quick else FULL

    def run(work: Path, rows: Path) -> int:
        return _run(options, size, _plan(options, size, work), rows)

    return run_study(options, "together", table_of(options.data), run)


def _run(options: argparse.Namespace, size: Size, plan: RankingPlan, rows: Path) -> int:
    if options.worker:
        images = Images()
        take([_task(Job(a, 0, size.epochs), plan, images) for a in _arms(size)], plan.work, rows)
        best = _best(size, read_rows(rows))
        others = [Job(arm, seed, size.epochs) for seed in range(1, size.seeds) for arm in best]
        take([_task(job, plan, images) for job in others], plan.work, rows)
        return 0
    if not options.show and not share_out(__file__, options, plan.work, []):
        return 1
    figures = _figures(size, read_rows(rows))
    _show(figures)
    if not options.quick:
        print(write_results("together", figures, range(size.seeds)))
    return 0


def _arms(size: Size) -> list[Step]:
    return [
        Step(f"{together} x {part}, lr {lr:g}", "uniform", together=together, part=part, lr=lr)
        for together, part, rates in size.steps
        for lr in rates
    ]


def _best(size: Size, rows: Mapping[str, Any]) -> list[Step]:
    """Of every size of a step the learning rate with the lowest mean loss of the first seed."""
    arms = _arms(size)
    best = []
    for together, part, _ in size.steps:
        same = [arm for arm in arms if (arm.together, arm.part) == (together, part)]
        done = [arm for arm in same if Job(arm, 0, size.epochs).key in rows]
        if done:
            best.append(min(done, key=lambda a: rows[Job(a, 0, size.epochs).key]["mean_loss"]))
    return best


def _figures(size: Size, rows: Mapping[str, Any]) -> dict[str, Any]:
    arms = {}
    best = _best(size, rows)
    for arm in _arms(size):
        jobs = [Job(arm, seed, size.epochs) for seed in range(size.seeds)]
        found = [rows[job.key] for job in jobs if job.key in rows]
        if not found:
            continue
        figures = [row["figures"][COLUMNS[0]][SCORE] for row in found]
        arms[arm.name] = {
            "images_of_a_step": arm.together * arm.part,
            "lr": arm.lr,
            "chosen_by_validation_loss": arm in best,
            "images": found[0]["images"],
            "seeds": len(found),
            "mean_validation_loss": [round(row["mean_loss"], 4) for row in found],
            **{name: [value[name] for value in figures] for name in SHOWN},
        }
    return {"score": SCORE, "cells": size.cells, "arms": arms}


def _show(figures: Mapping[str, Any]) -> None:
    def text(values: list[float | None]) -> str:
        known = [value for value in values if value is not None]
        if not known:
            return "–"
        spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
        return f"{statistics.fmean(known):.3f}{spread}"

    lines = [
        [
            ("* " if arm["chosen_by_validation_loss"] else "  ") + name,
            str(arm["seeds"]),
            text(arm["mean_validation_loss"]),
            *(text(arm[shown]) for shown in SHOWN),
        ]
        for name, arm in figures["arms"].items()
    ]
    header = ("architectures x images of a step", "seeds", "validation loss", *SHOWN)
    Console(width=130).print(grid("mean ± spread over seeds; * goes on", header, lines))


def _task(job: Job, plan: RankingPlan, images: Images) -> Task:
    return Task(job.key, job.slug, job.words(plan), partial(run_job, job, plan, images))


def _plan(options: argparse.Namespace, size: Size, work: Path) -> RankingPlan:
    words = (*SMALL_IMAGES, *size.words)
    places = places_of(options.data)
    return RankingPlan(
        table_of(options.data), words, places, work, size.cells, None, 10, ("recalibrated",)
    )


if __name__ == "__main__":
    raise SystemExit(main())
