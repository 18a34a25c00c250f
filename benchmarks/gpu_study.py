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
from gpu_figures import figures
from gpu_pace import LAST_SECONDS, Pace, setup_seconds
from gpu_rows import Rows
from gpu_scoring import KEY as SCORING
from gpu_scoring import distinct, run_scoring, words_of
from gpu_session import opened, stopped_after
from gpu_speed import TOGETHER, Case, measure_speed, speed_row, together, toy_together
from jobs import COLUMNS, costs_of, images_seen
from ranking_arms import EDGE, Arm
from ranking_jobs import RankingPlan

from fewshot_core.data import ImageData
from fewshot_core.pipeline.rank import Truth, score_all
from fewshot_core.pipeline.session import Session
from fewshot_core.pipeline.supernets import train_supernets
from fewshot_core.runs.preemption import Preempted
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.ranking import ISO_MINIMUM

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


@dataclass(frozen=True)
class Study:
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
        plan = RankingPlan(self.truth, self.words, (), Path(), 0, self.cells, ISO_MINIMUM)
        if self.cells is not None:
            plan = replace(plan, iso_minimum=2)
        return plan.truth(COLUMNS[0], costs_of(plan), True)


def run_study(rows: Rows, study: Study, images: int | None) -> bool:
    """All rows that the time allows; whether the device still works.

    Args:
        rows: Where they are kept.
        study: What the arms have in common.
        images: That an arm sees; None: as many as the time allows.
    """
    case, seconds = (toy_together(), 0.5) if study.toy else (TOGETHER, 5.0)
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
        _setup(rows, study, case),
        scoring["many_ms_per_cell"] / 1e3,
        scoring["cells"],
        1.0 if study.toy else FIXED_SECONDS,
    )
    images = images or _planned(rows, "images_planned")
    cells = study.cells or _planned(rows, "cells_planned")
    cells = cells or (TOY_CELLS if study.toy else pace.cells(rows.budget.left))
    study = replace(study, cells=None if cells >= pace.all_cells else cells)
    images = images or pace.images(rows.budget.left, ARMS, study.cells)
    if images < LEAST_STEPS * speed["images_per_step"]:
        print(f"study: not begun, the time is enough for {images} images")
        return True
    if study.ranked is not None:
        truth = study.ranked
        if not rows.run("study | connected parameters", 0, lambda: _baseline(truth)):
            return False
    for seed in seeds:
        for arm in ARMS:
            if not _run_arm(rows, study, pace, arm, seed, images):
                return False
            if _key(arm, seed) not in rows.rows:
                return True  # there is no time for more
    return True


def _setup(rows: Rows, study: Study, case: Case) -> float:
    """Seconds that a training of the study takes before it is at its pace.

    The first of a process compiles kernels and is of no use for that; it is done here, unless the
    row of the case has done it.
    """
    row = rows.rows[case.key]
    try:
        for _ in range(1 if case.key in rows.fresh else 2):
            row = measure_speed(case, study.data, 0.5, rows.budget.left)
    except (Exception, Preempted) as error:  # the arms will say why, if it is the same
        print(f"study: {error}")
    return 1 + setup_seconds(row)


def _run_arm(rows: Rows, study: Study, pace: Pace, arm: Arm, seed: int, images: int) -> bool:
    before = rows.here(_key(arm, 0))
    # The first two are planned to fit; what may have been planned a little short is begun.
    needed = 1.03 * before["seconds"] if before else 0.9 * pace.seconds(arm, images, study.cells)

    def measure() -> dict[str, Any]:
        kept = rows.path.parent / f"gpu_scores_{arm.name.split(',')[0]}_{seed}.csv.gz"
        return measure_arm(study, arm, seed, images, rows.budget.left - LAST_SECONDS, kept)

    return rows.run(_key(arm, seed), needed, measure)


def _key(arm: Arm, seed: int) -> str:
    return f"study | {arm.name} | seed {seed}"


def _planned(rows: Rows, size: str) -> int | None:
    """A size of an arm that is there already: the others have the same."""
    found = (rows.here(_key(arm, 0)) for arm in ARMS)
    return next((row[size] for row in found if row), None)


# -- one arm ---------------------------------------------------------------------------------------


def measure_arm(
    study: Study, arm: Arm, seed: int, images: int, limit: float, kept: Path
) -> dict[str, Any]:
    """Train, score and rank; after ``limit`` seconds the run is stopped. ``kept`` gets scores."""
    words = study.words_of(arm, seed, images)
    with opened(words, study.data) as session, stopped_after(session, limit):
        began = time.monotonic()
        train_supernets(session)
        trained = time.monotonic()
        scores, log = _scored(session, study)
        done = time.monotonic()
        if log is not None:
            kept.write_bytes(gzip.compress(log.read_bytes(), mtime=0))
        states = {
            region.id: session.folder.checkpoint(region).state()
            for region, _ in session.tree.walk()
        }
        return {
            "arm": arm.name,
            "seed": seed,
            "recipe": words,
            "images_planned": images,
            "cells_planned": study.cells or len(distinct(session.root.space)),
            "images": images_seen(session),
            "lr": study.lr,
            "score_images": study.score_images,
            "cells": len({session.root.space.canonical(a) for a in scores}),
            "train_seconds": round(trained - began, 1),
            "score_seconds": round(done - trained, 1),
            "last_losses": {name: state.history[-1][1] for name, state in states.items()},
            **_ranked(study, scores),
        }


def _scored(
    session: Session, study: Study
) -> tuple[Mapping[Architecture, Mapping[str, float]], Path | None]:
    """Metrics of the cells, and the file of them."""
    evaluator = session.inherited()
    if study.ranked is not None:
        path = session.folder.file("scores", "cells.csv")
        table = score_all(
            evaluator, study.ranked, path, session.console, "scoring", stop=session.stop
        )
        return table, path
    cells = distinct(session.root.space)
    cells = random.Random(0).sample(cells, study.cells or len(cells))
    return dict(evaluator.evaluate_many(cells)), None


def _ranked(study: Study, scores: Mapping[Architecture, Mapping[str, float]]) -> dict[str, Any]:
    truth = study.ranked
    if truth is None:
        return {"figures": None, "note": "nothing is ranked without --truth"}
    found: dict[str, Any] = {}
    for kind, sign in (("accuracy", 1.0), ("loss", -1.0)):
        values = np.array([sign * scores[a][kind] for a in truth.architectures])
        found[kind] = figures(truth, values)
        found[f"ensemble, {kind}"] = figures(truth, truth.ensemble(values))
    return {"figures": found}


def _baseline(truth: Truth) -> dict[str, Any]:
    return {"figures": {"connected_params": figures(truth, truth.costs["connected_params"])}}
