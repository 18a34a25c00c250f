"""Whether supernets that train many architectures in one step rank as well, at equal images.

    python -m benchmarks.studies.together             an hour of two cores; resumes
    python -m benchmarks.studies.together --quick     minutes; writes nothing
    python -m benchmarks.studies.together --show      the table of what is there

`paths.together=K` takes one step where single paths take K, each with the mean of K gradients. The
arms see the same number of images; what they differ in is how many make a step, and the learning
rate. Of each size of a step several rates are tried on the first seed, and the one whose cells have
the lowest mean loss on the validation images goes on to the other seeds: the true accuracies that
the arms are ranked against choose nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.studies.cifar10 import COLUMNS, SMALL_IMAGES, TABLE, Cells, places_of
from benchmarks.studies.jobs import Job, Rows
from benchmarks.studies.ranking.arms import Arm
from benchmarks.studies.ranking.measure import ArmRun
from benchmarks.studies.runs import Bench
from benchmarks.studies.study import Figures, Study, main
from benchmarks.studies.tables import Table, spread, spread_text

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


class Together(Study):
    """Arms that train one supernet with steps of different sizes."""

    needs = TABLE
    module = "benchmarks.studies.together"
    folder = "runs/together"
    stages = ("rates", "seeds")
    name = "together"

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds = self.size.seeds
        self.cells = Cells(options.data / TABLE, self.size.cells)
        self.bench = Bench((*SMALL_IMAGES, *self.size.words), places_of(options.data), work)
        self.arms = [
            Step(f"{together} x {part}, lr {lr:g}", "uniform", together=together, part=part, lr=lr)
            for together, part, rates in self.size.steps
            for lr in rates
        ]

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        if stage == "rates":
            runs = [self._run(arm, 0) for arm in self.arms]
        else:
            best = self._choose_rates(rows)
            runs = [self._run(arm, seed) for seed in range(1, self.seeds) for arm in best]
        return [run.job(self.bench, self.cells, ("recalibrated",)) for run in runs]

    def summarise(self, rows: Rows) -> dict[str, Any]:
        best, arms = self._choose_rates(rows), {}
        for arm in self.arms:
            keys = [self._run(arm, seed).key for seed in range(self.seeds)]
            found = [rows[key] for key in keys if key in rows]
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
        return {"score": SCORE, "cells": self.size.cells, "arms": arms}

    def tables(self, figures: Figures) -> list[Table]:
        lines = [
            [
                ("* " if arm["chosen_by_validation_loss"] else "  ") + name,
                str(arm["seeds"]),
                *(
                    spread_text(spread(arm[shown]), 3) or "–"
                    for shown in ("mean_validation_loss", *SHOWN)
                ),
            ]
            for name, arm in figures["arms"].items()
        ]
        header = ("architectures x images of a step", "seeds", "validation loss", *SHOWN)
        return [Table("mean ± spread over seeds; * goes on", header, lines)]

    def _run(self, arm: Step, seed: int) -> ArmRun:
        return ArmRun(arm, seed, self.size.epochs)

    def _choose_rates(self, rows: Rows) -> list[Step]:
        """For each size of a step the rate with the lowest mean loss of the first seed."""
        best = []
        for together, part, _ in self.size.steps:
            same = [arm for arm in self.arms if (arm.together, arm.part) == (together, part)]
            done = [arm for arm in same if self._run(arm, 0).key in rows]
            if done:
                best.append(min(done, key=lambda a: rows[self._run(a, 0).key]["mean_loss"]))
        return best


if __name__ == "__main__":
    raise SystemExit(main(Together, __doc__))
