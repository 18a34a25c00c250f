"""What the ranking study measures: an arm is trained, scored and ranked; proxies are ranked beside.

All of it is resumed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.studies.cifar10 import COLUMNS, SMALL_IMAGES, TABLE, Cells, costs_of, places_of
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.ranking.arms import ARMS, FIGURES, FULL, PROXIES, QUICK, Arm
from benchmarks.studies.ranking.plots import draw_budgets, draw_one_cost, largest_group
from benchmarks.studies.ranking.show import best_arm, make_tables, summarise
from benchmarks.studies.runs import Bench, StudyRun, train_shared_parent
from benchmarks.studies.study import Figures, Study
from fewshot_core.pipeline.rank import Truth
from fewshot_core.trust.scores import ScoreLog, read_table

STATISTICS = ("recalibrated", "running")
"""Batch-norm statistics that cells are scored with."""


class Ranking(Study):
    """Rankings by one-shot and few-shot supernets at the same number of training images."""

    needs = TABLE
    module = "benchmarks.studies.ranking"
    folder = "runs/ranking"
    stages = ("proxies", "arms", "long")
    name = "ranking"
    tables = staticmethod(make_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds = self.size.seeds
        words = (*SMALL_IMAGES, *self.size.words)
        self.bench = Bench(words, places_of(options.data), work)
        cells = (self.size.cells, self.size.long_cells)
        self.some, self.all = (Cells(options.data / TABLE, count) for count in cells)

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        size = self.size
        if stage == "proxies":
            # On the rows for short budgets with every seed, on those for long ones with the first.
            asked = [(name, seed, "some") for seed in range(size.seeds) for name in PROXIES]
            asked += [(name, 0, "all") for name in PROXIES]
            return [
                proxy_job(*one, self.bench, self.some if one[2] == "some" else self.all)
                for one in asked
            ]
        if stage == "arms":
            # All seeds of a cheap budget first: its spread is known before the next one begins.
            runs = [ArmRun(a, s, e) for e in size.epochs for s in range(size.seeds) for a in ARMS]
            return [arm_run.job(self.bench, self.some) for arm_run in runs]
        one, few = (best_arm(rows, few=few) for few in (False, True))
        if one is None or few is None:
            print("stage long: the arms are not done, so it is not known yet which are the best")
            return []
        return [
            ArmRun(arm, seed, epochs).job(self.bench, self.all)
            for epochs in size.long_epochs
            for seed in range(size.long_seeds)
            for arm in (few, one)
        ]

    def summarise(self, rows: Rows) -> dict[str, Any]:
        sizes = sorted({row["cells"] for row in rows.values()})
        baselines = {
            str(n): measure_baselines(self.bench, self.all if n > self.size.cells else self.some)
            for n in sizes
        }
        settings = {"recipe": list(self.bench.words), "cells": self.size.cells}
        return summarise(rows, settings, baselines)

    def pictures(self, figures: Figures, rows: Rows) -> Iterator[tuple[str, Figure]]:
        sizes = [
            size
            for size in figures["baselines"]
            if any(str(arm["cells"]) == size and arm["images"] for arm in figures["arms"])
        ]
        if sizes:
            yield "ranking_budget", draw_budgets(figures, sizes[0])
        truth = self.all.truth(COLUMNS[0], costs_of(self.bench.recipe()))
        drawn = self._drawn(rows)
        paths = [scores_file(arm_run, self.bench, len(truth.architectures)) for arm_run in drawn]
        # Rows may come from another machine, scores of single cells do not.
        if drawn and all(path.exists() for path in paths):
            cost = largest_group(truth)[1]
            scores = {
                arm_run.arm.name: read_table(path, "loss")
                for arm_run, path in zip(drawn, paths, strict=True)
            }
            where = f"{drawn[0].epochs:g} epochs, seed {drawn[0].seed}"
            yield "ranking_one_cost", draw_one_cost(scores, truth, cost, where)

    def _drawn(self, rows: Rows) -> list[ArmRun]:
        """The finished runs of the longest budget and first seed, one-shot first."""
        best = [arm for few in (False, True) if (arm := best_arm(rows, few=few)) is not None]
        for epochs in sorted(self.size.long_epochs, reverse=True):
            runs = [ArmRun(arm, 0, epochs) for arm in best]
            if runs and all(arm_run.key in rows for arm_run in runs):
                return runs
        return []


@dataclass(frozen=True)
class ArmRun:
    """A cell of the study: an arm at a budget with a seed.

    Attributes:
        arm: The arm.
        seed: Seed of the recipe: of held-out images, weights, paths and batches.
        epochs: The budget, in passes over the training images.
    """

    arm: Arm
    seed: int
    epochs: float

    @property
    def key(self) -> str:
        """Name of its row."""
        return f"{self.arm.name} | {self.epochs:g} epochs | seed {self.seed}"

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return make_slug(self.arm.name, f"{self.epochs:g}", self.seed)

    def words(self, bench: Bench) -> list[str]:
        """The settings of its recipe."""
        return [*bench.words, f"seed={self.seed}", *self.arm.words(self.epochs)]

    def job(self, bench: Bench, cells: Cells, statistics: tuple[str, ...] = STATISTICS) -> Job:
        """Train, score and rank."""
        measure = partial(measure_arm, self, bench, cells, statistics)
        return bench.job(self.key, self.slug, self.words(bench), measure, "split.when=always")


def measure_arm(
    arm_run: ArmRun, bench: Bench, cells: Cells, statistics: tuple[str, ...], run: StudyRun
) -> dict[str, Any]:
    """Train an arm, score the cells and rank them; returns the row."""
    arm, epochs, seed = arm_run.arm, arm_run.epochs, arm_run.seed
    if arm.has_parent:
        shared = make_slug("parent", arm.paths, f"{epochs:g}", seed)
        run.adopt_parent(train_shared_parent(bench, shared, arm_run.words(bench)))
    run.train_supernets()
    truths = _read_truths(run, cells)
    figures: dict[str, Any] = {column: {} for column in COLUMNS}
    losses: dict[str, float] = {}
    for which in statistics:
        metrics = run.score_table(truths[COLUMNS[0]], which)
        losses[which] = fmean(of["loss"] for of in metrics.values())
        for kind, sign in (("accuracy", 1.0), ("loss", -1.0)):
            for column, truth in truths.items():
                values = np.array([sign * metrics[a][kind] for a in truth.architectures])
                figures[column][f"{which}, {kind}"] = _rank(truth, values)
                if which == "recalibrated":
                    figures[column][f"ensemble, {kind}"] = _rank(truth, truth.ensemble(values))
    return {
        "arm": arm.name,
        "seed": seed,
        "epochs": epochs,
        "precision": run.precision,
        "images": run.images_seen(),
        "cells": len(truths[COLUMNS[0]].architectures),
        "regions": run.leaves(),
        "mean_loss": losses["recalibrated"],
        "figures": figures,
    }


def proxy_job(name: str, seed: int, some: str, bench: Bench, cells: Cells) -> Job:
    """Rank a training-free score, by its name, on the cells that are called ``some`` or ``all``."""
    words = [*bench.words, f"seed={seed}", f"evaluator={name}", "split=none"]
    measure = partial(measure_proxy, name, seed, cells)
    slug = make_slug(name, some, seed)
    return bench.job(f"{name} | {some} cells | seed {seed}", slug, words, measure)


def measure_proxy(name: str, seed: int, cells: Cells, run: StudyRun) -> dict[str, Any]:
    """Score untrained networks; the row of :func:`measure_arm` without a budget."""
    truths = _read_truths(run, cells)
    architectures = truths[COLUMNS[0]].architectures
    # Equal networks have one score, so it is kept under the text of their representative.
    space, evaluator = run.space, run.evaluator()
    names = {a: space.genotype(space.canonical(a)) for a in architectures}
    distinct = {text: a for a, text in names.items()}
    with ScoreLog(run.file("scores.csv"), ("architecture", "score")) as log:
        scores = {row["architecture"]: float(row["score"]) for row in log.rows}
        with run.console.progress(f"scoring, {name}", len(distinct), len(scores)) as tick:
            for text in [text for text in distinct if text not in scores]:
                scores[text] = evaluator.evaluate(distinct[text])["score"]
                log.append([{"architecture": text, "score": scores[text]}])
                tick(len(scores))
    values = np.array([scores[names[a]] for a in architectures])
    return {
        "arm": name,
        "seed": seed,
        "epochs": 0,
        "images": 0,
        "cells": len(architectures),
        "figures": {column: {"score": _rank(t, values)} for column, t in truths.items()},
    }


def measure_baselines(bench: Bench, cells: Cells) -> dict[str, Any]:
    """What costs and random scores reach, per column."""
    costs = costs_of(bench.recipe())
    found: dict[str, Any] = {}
    for column in COLUMNS:
        rows = cells.truth(column, costs).baselines()
        found[column] = {
            name: {key: figures.to_json()[key] for key in (*FIGURES, "best_possible")}
            for name, figures in rows.items()
        }
    return found


def scores_file(arm_run: ArmRun, bench: Bench, count: int) -> Path:
    """Where an arm's run keeps the scores of so many cells."""
    return bench.work / arm_run.slug / "scores" / f"recalibrated-{count}.csv"


def _read_truths(run: StudyRun, cells: Cells) -> Mapping[str, Truth]:
    return {column: cells.truth(column, run.costs) for column in COLUMNS}


def _rank(truth: Truth, values: NDArray[np.float64]) -> dict[str, float | int | None]:
    figures = truth.figures(values).to_json()
    return {name: figures[name] for name in FIGURES}
