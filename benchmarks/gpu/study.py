"""One-shot and few-shot supernets at equally many images, ranked by the truth."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu.budget import LAST_SECONDS, Pace, setup_seconds
from benchmarks.gpu.rows import Rows
from benchmarks.gpu.scoring import KEY as SCORING
from benchmarks.gpu.scoring import list_distinct, run_scoring, words_of
from benchmarks.gpu.session import open_run, score_truth, stop_after
from benchmarks.gpu.speed import (
    TOGETHER,
    TOY_SECONDS,
    Case,
    measure_speed,
    speed_row,
    together,
    toy_together,
)
from benchmarks.studies.cifar10 import COLUMNS, Cells, costs_of
from benchmarks.studies.ranking.arms import EDGE, FIGURES, Arm
from benchmarks.studies.runs import StudyRun, load_words
from fewshot_core.data import ImageData
from fewshot_core.pipeline.rank import Truth
from fewshot_core.runs.preemption import Preempted
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.correlation import iso_cost_tau

ONE_SHOT = Arm("one-shot", "uniform")
FEW_SHOT = Arm("few-shot, 5 by one edge", "uniform", 5, EDGE)
ARMS = (ONE_SHOT, FEW_SHOT)

SEEDS = 20
"""More than any command gets to; of ``--toy`` one."""

LEAST_STEPS = 50
"""A study with fewer of them is not begun."""

FIXED_SECONDS = 10.0
"""Seconds of an arm beside training and scoring."""

TOY_CELLS = 40

CONVOLUTION, UPPER = "nor_conv_3x3", 2
"""The upper half: cells with so many of these, or more, between input and output."""


@dataclass(frozen=True)
class GpuStudy:
    """What all its arms have in common.

    Attributes:
        data: The images.
        truth: Accuracies of NAS-Bench-201; None: nothing is ranked.
        lr: Learning rate of supernets; regions, which inherit, begin with half of it.
        score_images: Validation images of a score.
        toy: Whether everything is tiny.
        cells: Rows of the truth, or cells, that are scored; None: all.
    """

    data: ImageData
    truth: Path | None
    lr: float
    score_images: int
    toy: bool
    cells: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Settings of all arms."""
        count, batch = (5, 20) if self.toy else (20, 960)
        found = [word for word in words_of(self.toy, self.score_images) if word != "split=none"]
        for section, lr in (("supernet", self.lr), ("regions", self.lr / 2)):
            found += [*together(count, batch, section), f"{section}.lr={lr:g}"]
        return (*found, "split.when=always")

    def words_of(self, arm: Arm, seed: int, images: int) -> list[str]:
        """Settings of an arm that sees so many images."""
        own = arm.words(images / len(self.data.train))
        own = [word for word in own if ".lr=" not in word]
        return [*self.words, *own, f"seed={seed}"]

    @cached_property
    def ranked(self) -> Truth | None:
        """The cells with their true accuracies."""
        if self.truth is None:
            return None
        costs = costs_of(load_words(self.words).recipe)
        return Cells(self.truth, self.cells, iso_minimum=2).truth(COLUMNS[0], costs)


def run_study(rows: Rows, study: GpuStudy, images: int | None) -> bool:
    """All rows that the time allows; whether the device still works.

    Args:
        rows: Where they are kept.
        study: What the arms have in common.
        images: That an arm sees; None: as many as the time allows.
    """
    case, seconds = (toy_together(), TOY_SECONDS) if study.toy else (TOGETHER, 5.0)
    if not speed_row(rows, case, study.data, seconds):
        return False
    if not run_scoring(rows, study.data, study.toy, study.score_images):
        return False
    speed, scoring = rows.here(case.key), rows.here(SCORING)
    if speed is None or scoring is None:
        print("study: its time is not known without the rows of speed and scoring")
        return True
    seeds = range(1 if study.toy else SEEDS)
    if all(_key(arm, seed) in rows.rows for seed in seeds for arm in ARMS):
        return True
    pace = Pace(
        speed["images_per_second"],
        _measure_setup(rows, study, case),
        scoring["many_ms_per_cell"] / 1e3,
        scoring["cells"],
        1.0 if study.toy else FIXED_SECONDS,
    )
    images = images or _find_planned(rows, "images_planned")
    cells = study.cells or _find_planned(rows, "cells_planned")
    cells = cells or (TOY_CELLS if study.toy else pace.cells(rows.budget.left))
    study = replace(study, cells=None if cells >= pace.all_cells else cells)
    images = images or pace.images(rows.budget.left, ARMS, study.cells)
    if images < LEAST_STEPS * speed["images_per_step"]:
        print(f"study: not begun, the time is enough for {images} images")
        return True
    if study.ranked is not None:
        truth = study.ranked
        if not rows.run("study | connected parameters", 0, lambda: _rank_parameters(truth)):
            return False
    for seed in seeds:
        for arm in ARMS:
            if not _run_arm(rows, study, pace, arm, seed, images):
                return False
            if _key(arm, seed) not in rows.rows:
                return True  # there is no time for more
    return True


def _measure_setup(rows: Rows, study: GpuStudy, case: Case) -> float:
    """Seconds that a training of the study takes before it is at its pace.

    The first of a process compiles kernels and is of no use for that; it is done here, unless the
    row of the case has done it.
    """
    row = rows.rows[case.key]
    try:
        for _ in range(1 if case.key in rows.fresh else 2):
            row = measure_speed(
                case, study.data, TOY_SECONDS if study.toy else 0.5, rows.budget.left
            )
    except (Exception, Preempted) as error:  # the arms will say why, if it is the same
        print(f"study: {error}")
    return 1 + setup_seconds(row)


def _run_arm(rows: Rows, study: GpuStudy, pace: Pace, arm: Arm, seed: int, images: int) -> bool:
    before = rows.here(_key(arm, 0))
    # The first two are planned to fit; what may have been planned a little short is begun.
    needed = 1.03 * before["seconds"] if before else 0.9 * pace.seconds(arm, images, study.cells)

    def measure() -> dict[str, Any]:
        kept = rows.path.parent / f"gpu_scores_{arm.name.split(',')[0]}_{seed}.csv.gz"
        return measure_arm(study, arm, seed, images, rows.budget.left - LAST_SECONDS, kept)

    return rows.run(_key(arm, seed), needed, measure)


def _key(arm: Arm, seed: int) -> str:
    return f"study | {arm.name} | seed {seed}"


def _find_planned(rows: Rows, size: str) -> int | None:
    """A size of an arm that is there already: the others have the same."""
    found = (rows.here(_key(arm, 0)) for arm in ARMS)
    return next((row[size] for row in found if row), None)


# -- one arm ---------------------------------------------------------------------------------------


def measure_arm(
    study: GpuStudy, arm: Arm, seed: int, images: int, limit: float, kept: Path
) -> dict[str, Any]:
    """Train, score and rank; after ``limit`` seconds the run is stopped. ``kept`` gets scores."""
    words = study.words_of(arm, seed, images)
    with open_run(words, study.data) as run, stop_after(run, limit):
        began = time.monotonic()
        run.train_supernets()
        trained = time.monotonic()
        scores, log = _score_cells(run, study)
        done = time.monotonic()
        if log is not None:
            kept.write_bytes(gzip.compress(log.read_bytes(), mtime=0))
        return {
            "arm": arm.name,
            "seed": seed,
            "recipe": words,
            "images_planned": images,
            "cells_planned": study.cells or len(list_distinct(run.space)),
            "images": run.images_seen(),
            "lr": study.lr,
            "score_images": study.score_images,
            "cells": len({run.space.canonical(a) for a in scores}),
            "train_seconds": round(trained - began, 1),
            "score_seconds": round(done - trained, 1),
            "last_losses": {name: state.history[-1][1] for name, state in run.states().items()},
            **_rank_scores(study, scores),
        }


def _score_cells(
    run: StudyRun, study: GpuStudy
) -> tuple[Mapping[Architecture, Mapping[str, float]], Path | None]:
    """Metrics of the cells, and the file of them."""
    if study.ranked is not None:
        path = run.file("scores", "cells.csv")
        return score_truth(run, study.ranked, path), path
    cells = list_distinct(run.space)
    cells = random.Random(0).sample(cells, study.cells or len(cells))
    return dict(run.inherited().evaluate_many(cells)), None


def _rank_scores(
    study: GpuStudy, scores: Mapping[Architecture, Mapping[str, float]]
) -> dict[str, Any]:
    truth = study.ranked
    if truth is None:
        return {"figures": None, "note": "nothing is ranked without --truth"}
    found: dict[str, Any] = {}
    for kind, sign in (("accuracy", 1.0), ("loss", -1.0)):
        values = np.array([sign * scores[a][kind] for a in truth.architectures])
        found[kind] = rank_cells(truth, values)
        found[f"ensemble, {kind}"] = rank_cells(truth, truth.ensemble(values))
    return {"figures": found}


def _rank_parameters(truth: Truth) -> dict[str, Any]:
    return {"figures": {"connected_params": rank_cells(truth, truth.costs["connected_params"])}}


def rank_cells(truth: Truth, values: NDArray[np.float64]) -> dict[str, float | int | None]:
    """How well values rank the cells: over all, within equal cost, and of its upper half."""
    found = truth.figures(values).to_json()
    upper = np.array([_is_upper(truth, a) for a in truth.architectures])
    costs = truth.costs["connected_params"]
    within = iso_cost_tau(
        values[upper], truth.values[upper], costs[upper], truth.connected[upper], truth.iso_minimum
    )
    row = {name: found[name] for name in (*FIGURES, "best_possible")}
    tau = round(within.tau, 5) if within.groups else None
    return row | {"upper_tau": tau, "upper_count": within.architectures}


def _is_upper(truth: Truth, cell: Architecture) -> bool:
    connected = truth.space.connected(cell)
    return connected is not None and connected.choices.count(CONVOLUTION) >= UPPER
