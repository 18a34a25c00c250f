"""The jobs of the ranking study: train an arm, score it, rank it.

All of it is resumed.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jobs import COLUMNS, Images, Plan, close, costs_of, images_seen, load_words, locked
from numpy.typing import NDArray
from ranking_arms import Arm

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageData
from fewshot_core.evaluators import InheritedEvaluator
from fewshot_core.pipeline.rank import Truth, score_all
from fewshot_core.pipeline.search import start
from fewshot_core.pipeline.session import Session
from fewshot_core.pipeline.supernets import train_supernets
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.scores import ScoreLog, read_table

FIGURES = ("tau", "tau_distinct", "iso_cost_tau", "spearman", "tau_top10", "best_true", "best_ties")
STATISTICS = ("recalibrated", "running")


@dataclass(frozen=True)
class RankingPlan(Plan):
    """The plan of the ranking study.

    Attributes:
        cells: Number of table rows, drawn once, that a short job is ranked on.
        long_cells: The same for a long job; None: all.
        iso_minimum: Smallest group of equal cost among these.
        statistics: Batch-norm statistics that cells are scored with.
    """

    cells: int
    long_cells: int | None
    iso_minimum: int
    statistics: tuple[str, ...] = STATISTICS

    def truth(self, column: str, costs: CostTable, every: bool) -> Truth:
        """The rows for long jobs, or those for short ones."""
        cells = self.long_cells if every else self.cells
        if cells is None:
            return Truth.read(self.table, column, costs.space, costs)
        rows = sorted(read_table(self.table, column))
        return Truth.read(
            self.table,
            column,
            costs.space,
            costs,
            only=set(random.Random(0).sample(rows, cells)),
            iso_minimum=self.iso_minimum,
        )


@dataclass(frozen=True)
class Job:
    """A cell of the study: an arm at a budget with a seed.

    Attributes:
        arm: The arm.
        seed: Of the recipe: held-out images, weights, paths, batches.
        epochs: The budget, in passes over the training images.
        every: Whether it is ranked on the rows for long jobs.
    """

    arm: Arm
    seed: int
    epochs: float
    every: bool = False

    @property
    def key(self) -> str:
        """Name of its row."""
        return f"{self.arm.name} | {self.epochs:g} epochs | seed {self.seed}"

    @property
    def slug(self) -> str:
        """Name of its folder."""
        text = "".join(c if c.isalnum() else "-" for c in self.arm.name)
        return f"{text}-{self.epochs:g}-{self.seed}".replace("--", "-")

    def words(self, plan: RankingPlan) -> list[str]:
        """The settings of its recipe."""
        return [*plan.words, f"seed={self.seed}", *self.arm.words(self.epochs)]


def run_job(job: Job, plan: RankingPlan, images: Images) -> dict[str, Any]:
    """Train, score and rank; returns the row."""
    began = time.monotonic()
    own = ("split.when=always", f"run={plan.work / job.slug}")
    words = [*job.words(plan), *plan.places, *own]
    loaded = load_words(words)
    data = images.of(loaded.recipe)
    session = start(loaded, data)
    if job.arm.has_parent:
        _adopt(_train_parent(job, plan, data), session)
    train_supernets(session)
    seen = images_seen(session)
    truths = {column: plan.truth(column, session.costs, job.every) for column in COLUMNS}
    figures: dict[str, Any] = {column: {} for column in COLUMNS}
    losses: dict[str, float] = {}
    for statistics in plan.statistics:
        metrics = _score(session, truths[COLUMNS[0]], statistics)
        losses[statistics] = fmean(of["loss"] for of in metrics.values())
        for kind, sign in (("accuracy", 1.0), ("loss", -1.0)):
            for column, truth in truths.items():
                values = np.array([sign * metrics[a][kind] for a in truth.architectures])
                figures[column][f"{statistics}, {kind}"] = _figures(truth, values)
                if statistics == "recalibrated":
                    name = f"ensemble, {kind}"
                    figures[column][name] = _figures(truth, truth.ensemble(values))
    close(session)
    return {
        "arm": job.arm.name,
        "seed": job.seed,
        "epochs": job.epochs,
        "precision": session.accelerator.mixed_precision,
        "images": seen,
        "cells": len(truths[COLUMNS[0]].architectures),
        "seconds": round(time.monotonic() - began),
        "recipe": job.words(plan),
        "regions": [region.id for region in session.tree.leaves()],
        "mean_loss": losses["recalibrated"],
        "figures": figures,
    }


@dataclass(frozen=True)
class Proxy:
    """A training-free score, on the whole table or the rows drawn."""

    name: str
    seed: int
    every: bool

    @property
    def key(self) -> str:
        """Name of its row."""
        return f"{self.name} | {'all' if self.every else 'some'} cells | seed {self.seed}"

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return f"{self.name}-{'all' if self.every else 'some'}-{self.seed}"

    def words(self, plan: RankingPlan) -> list[str]:
        """The settings of its recipe."""
        return [*plan.words, f"seed={self.seed}", f"evaluator={self.name}", "split=none"]


def run_proxy(proxy: Proxy, plan: RankingPlan, images: Images) -> dict[str, Any]:
    """Score untrained networks; the row of :func:`run_job` without a budget."""
    began = time.monotonic()
    loaded = load_words([*proxy.words(plan), *plan.places, f"run={plan.work / proxy.slug}"])
    session = start(loaded, images.of(loaded.recipe))
    evaluator = session.evaluator()
    truths = {column: plan.truth(column, session.costs, proxy.every) for column in COLUMNS}
    architectures = truths[COLUMNS[0]].architectures
    # Equal networks have one score, so it is kept under the text of their representative.
    names = {a: session.root.space.genotype(session.root.space.canonical(a)) for a in architectures}
    distinct = {name: a for a, name in names.items()}
    with ScoreLog(session.folder.file("scores.csv"), ("architecture", "score")) as log:
        scores = {row["architecture"]: float(row["score"]) for row in log.rows}
        title = f"scoring, {proxy.name}"
        with session.console.progress(title, len(distinct), len(scores)) as tick:
            for name in [name for name in distinct if name not in scores]:
                scores[name] = evaluator.evaluate(distinct[name])["score"]
                log.append([{"architecture": name, "score": scores[name]}])
                tick(len(scores))
    close(session)
    values = np.array([scores[names[a]] for a in architectures])
    figures = {column: {"score": _figures(truth, values)} for column, truth in truths.items()}
    return {
        "arm": proxy.name,
        "seed": proxy.seed,
        "epochs": 0,
        "images": 0,
        "cells": len(architectures),
        "seconds": round(time.monotonic() - began),
        "recipe": proxy.words(plan),
        "figures": figures,
    }


def baselines(plan: RankingPlan, every: bool) -> dict[str, Any]:
    """Costs and random scores, per column."""
    costs = costs_of(plan)
    found: dict[str, Any] = {}
    for column in COLUMNS:
        rows = plan.truth(column, costs, every).baselines()
        found[column] = {
            name: {key: figures.to_json()[key] for key in (*FIGURES, "best_possible")}
            for name, figures in rows.items()
        }
    return found


# -- parts of a job ------------------------------------------------------------------------------


def _train_parent(job: Job, plan: RankingPlan, data: ImageData) -> Path:
    """The run of the parent supernet that arms of one path policy, budget and seed share."""
    folder = plan.work / f"parent-{job.arm.paths}-{job.epochs:g}-{job.seed}"
    own = ("split", "regions.")
    words = [word for word in job.words(plan) if not word.startswith(own)]
    with locked(folder.with_suffix(".lock"), wait=True):
        words += [*plan.places, "split=none", f"run={folder}"]
        session = start(load_words(words), data)
        train_supernets(session)
        close(session)
    return folder


def _adopt(parent: Path, session: Session) -> None:
    target = session.folder.checkpoint(session.root).folder
    if not target.exists():
        beside = target.with_name(".adopted")
        shutil.rmtree(beside, ignore_errors=True)
        beside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(parent / "checkpoints" / target.name, beside)
        beside.rename(target)


def _score(
    session: Session, truth: Truth, statistics: str
) -> Mapping[Architecture, Mapping[str, float]]:
    settings = session.recipe.evaluator
    images = settings.recalibrate if statistics == "recalibrated" else 0
    evaluation = dataclasses.replace(settings, recalibrate=images)
    recipe = dataclasses.replace(session.recipe, evaluator=evaluation)
    scorer = session.scorer(recipe, session.data, "validation")
    evaluator = InheritedEvaluator(session.tree, session.load_supernet, scorer)
    path = session.folder.file("scores", f"{statistics}-{len(truth.architectures)}.csv")
    return score_all(evaluator, truth, path, session.console, f"scoring, {statistics}")


def _figures(truth: Truth, values: NDArray[np.float64]) -> dict[str, float | int | None]:
    figures = truth.figures(values).to_json()
    return {name: figures[name] for name in FIGURES}
