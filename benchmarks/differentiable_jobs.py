"""The jobs of the study of differentiable strategies: search, and look up what was found.

A search is that of the command line. The truth is looked up when it is over, and nothing is chosen
by it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from differentiable_arms import Arm
from jobs import COLUMNS, Images, Plan, close, costs_of, images_seen, load_words

from fewshot_core.pipeline.derive import derive
from fewshot_core.pipeline.search import ask_and_tell, record, start
from fewshot_core.pipeline.session import Session
from fewshot_core.pipeline.supernets import train_supernets
from fewshot_core.recipe.check import DIFFERENTIABLE
from fewshot_core.runs.files import read_json
from fewshot_core.search.preferences.naming import DERIVED
from fewshot_core.search.trial import Trial, best_trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.scores import read_table

SKIP, NONE = "skip_connect", "none"


@dataclass(frozen=True)
class DerivingPlan(Plan):
    """The plan of the study.

    Attributes:
        epochs: The budget, in passes over the training images.
        scored: Cells that a method scores in the end where it scores several.
    """

    epochs: float
    scored: int

    @cached_property
    def truth(self) -> Mapping[str, Mapping[str, float]]:
        """True accuracies by column and cell, in percent."""
        return {column: read_table(self.table, column) for column in COLUMNS}


@dataclass(frozen=True)
class Job:
    """An arm with a seed: of the recipe, so of the held-out images, weights, paths, and batches."""

    arm: Arm
    seed: int

    @property
    def key(self) -> str:
        """Name of its row."""
        return f"{self.arm.method.name} | {self.arm.shots} | seed {self.seed}"

    @property
    def slug(self) -> str:
        """Name of its folder."""
        text = f"{self.arm.method.name} {self.arm.shots} {self.seed}"
        return "-".join("".join(c if c.isalnum() else " " for c in text).split())

    def words(self, plan: DerivingPlan) -> list[str]:
        """The settings of its recipe."""
        words = self.arm.words(plan.epochs, plan.scored)
        return [*plan.words, f"seed={self.seed}", *words]


def run_job(job: Job, plan: DerivingPlan, images: Images) -> dict[str, Any]:
    """Search with one arm; returns the row."""
    began = time.monotonic()
    own = ["split.when=always", f"run={plan.work / job.slug}"]
    loaded = load_words([*job.words(plan), *plan.places, *own])
    session = start(loaded, images.of(loaded.recipe))
    named: dict[Region, list[Architecture]] = {}
    if session.recipe.strategy.name in DIFFERENTIABLE:
        named = derive(session)
        done = ask_and_tell(session, [a for some in named.values() for a in some])
    else:
        train_supernets(session)
        done = ask_and_tell(session)
        for trial in done:
            named.setdefault(session.tree.locate(trial.architecture), []).append(trial.architecture)
    record(session, done)
    # The rows of the study take the first of equal scores, as its table did when it was published.
    seconds = round(time.monotonic() - began)
    row = {
        "method": job.arm.method.name,
        "shots": job.arm.shots,
        "seed": job.seed,
        "epochs": plan.epochs,
        "images": images_seen(session),
        "seconds": seconds,
        "training_seconds": round(_training_seconds(session)),
        "recipe": job.words(plan),
        "found": _cell(best_trial(done, cost=None), session, plan),
        "regions": [_region(leaf, cells, done, session, plan) for leaf, cells in named.items()],
        "peak": _peak(session),
    }
    close(session)
    return row


def _training_seconds(session: Session) -> float:
    walk = session.tree.walk()
    return sum(session.folder.checkpoint(region).state().seconds for region, _ in walk)


def _cell(trial: Trial, session: Session, plan: DerivingPlan) -> dict[str, Any]:
    """A scored cell and what is known of it."""
    genotype = session.root.space.genotype(trial.architecture)
    costs = session.costs.costs(trial.architecture)
    return {
        "cell": genotype,
        "score": trial.score,
        **{name: trial.metrics.get(name) for name in ("accuracy", "loss")},
        "truth": {column: plan.truth[column][genotype] for column in COLUMNS},
        "skips": trial.architecture.choices.count(SKIP),
        "nones": trial.architecture.choices.count(NONE),
        "params": int(costs["params"]),
        "connected_params": int(costs["connected_params"]),
    }


def _region(
    leaf: Region,
    cells: Sequence[Architecture],
    done: Sequence[Trial],
    session: Session,
    plan: DerivingPlan,
) -> dict[str, Any]:
    """What a region named: its best by score, and the mean truth of all, a blind choice's."""
    mine = set(cells)
    space = session.root.space
    found: dict[str, Any] = {"region": leaf.id, "cells": len(mine)}
    if mine:
        best = best_trial([t for t in done if t.architecture in mine], cost=None)
        found |= {
            "best": _cell(best, session, plan),
            "mean_truth": {
                column: round(
                    statistics.fmean(plan.truth[column][space.genotype(cell)] for cell in mine), 3
                )
                for column in COLUMNS
            },
        }
    return found


def _peak(session: Session) -> float | None:
    """Mean probability of the likeliest option, over decisions with a choice and regions."""
    path = session.folder.file(DERIVED)
    if session.recipe.strategy.name not in DIFFERENTIABLE:
        return None
    peaks = [
        max(options.values())
        for row in read_json(path)
        for options in row["preferences"].values()
        if len(options) > 1
    ]
    return round(statistics.fmean(peaks), 3)


def baselines(plan: DerivingPlan) -> dict[str, Any]:
    """What a cell costs nothing to choose is worth: at random, the largest, all skips."""
    costs = costs_of(plan)
    space = costs.space
    cells = {genotype: space.parse(genotype) for genotype in plan.truth[COLUMNS[0]]}
    most = max(cells, key=lambda g: costs.costs(cells[g])["connected_params"])
    skips = next(g for g, a in cells.items() if set(a.choices) == {SKIP})
    found = {}
    for column, truth in plan.truth.items():
        values = list(truth.values())
        found[column] = {
            "random cell": [statistics.fmean(values), statistics.pstdev(values)],
            "largest cell": truth[most],
            "skips alone": truth[skips],
            "best cell": max(values),
        }
    return found | {"cells": {"largest cell": most, "skips alone": skips}}
