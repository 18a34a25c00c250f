"""What the study of differentiable strategies measures: a search, and the truth of what it found.

A search is that of the command line. The truth is looked up when it is over, and nothing is chosen
by it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.studies.cifar10 import COLUMNS, SMALL_IMAGES, TABLE, costs_of, places_of
from benchmarks.studies.differentiable.arms import ARMS, FULL, QUICK, STAGES, Arm, Size
from benchmarks.studies.differentiable.show import draw_methods, make_tables, summarise
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.runs import Bench, StudyRun
from benchmarks.studies.study import Figures, Study
from fewshot_core.search.trial import Trial, best_trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.scores import read_table

SKIP, NONE = "skip_connect", "none"

Truth = Mapping[str, Mapping[str, float]]
"""True accuracies by column and cell, in percent."""


class Differentiable(Study):
    """The true accuracy of what differentiable strategies derive, one- and few-shot."""

    needs = TABLE
    module = "benchmarks.studies.differentiable"
    folder = "runs/differentiable"
    stages = STAGES
    first_stages = STAGES[:1]
    name = "differentiable"
    tables = staticmethod(make_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds = self.size.seeds
        self.table = options.data / TABLE
        self.bench = Bench((*SMALL_IMAGES, *self.size.words), places_of(options.data), work)

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        # Seed by seed, so that whatever is there can be compared.
        return [
            make_job(arm, seed, self.bench, self.table, self.size)
            for seed in range(self.seeds)
            for arm in ARMS
            if arm.method.stage == stage
        ]

    def summarise(self, rows: Rows) -> dict[str, Any]:
        words, size = list(self.bench.words), self.size
        settings = {"recipe": words, "epochs": size.epochs, "scored": size.scored}
        baselines = measure_baselines(self.bench, read_truth(self.table))
        return summarise(rows, settings, baselines)

    def pictures(self, figures: Figures, rows: Rows) -> Iterator[tuple[str, Figure]]:
        yield self.name, draw_methods(figures)


def make_job(arm: Arm, seed: int, bench: Bench, table: Path, size: Size) -> Job:
    """Search with an arm, and look up what was found.

    Args:
        arm: The arm.
        seed: Seed of the recipe: of held-out images, weights, paths and batches.
        bench: What the runs have in common.
        table: The table of true accuracies.
        size: Gives the budget.
    """
    name, shots = arm.method.name, arm.shots
    words = [*bench.words, f"seed={seed}", *arm.words(size.epochs, size.scored)]
    about = {"method": name, "shots": shots, "seed": seed, "epochs": size.epochs}
    measure = partial(measure_search, about, table)
    key, slug = f"{name} | {shots} | seed {seed}", make_slug(name, shots, seed)
    return bench.job(key, slug, words, measure, "split.when=always")


def read_truth(table: Path) -> Truth:
    """Read all columns of the table."""
    return {column: read_table(table, column) for column in COLUMNS}


def measure_search(about: Mapping[str, Any], table: Path, run: StudyRun) -> dict[str, Any]:
    """Search with one arm; returns the row, which begins with what names the arm."""
    named, done = run.search()
    truth = read_truth(table)
    return {
        **about,
        "images": run.images_seen(),
        "training_seconds": round(sum(state.seconds for state in run.states().values())),
        # The first of equal scores, as its table did when it was published.
        "found": _look_up(best_trial(done, cost=None), run, truth),
        "regions": [_look_at(leaf, cells, done, run, truth) for leaf, cells in named.items()],
        "peak": _mean_peak(run),
    }


def _look_up(trial: Trial, run: StudyRun, truth: Truth) -> dict[str, Any]:
    """What is known of a scored cell."""
    genotype = run.space.genotype(trial.architecture)
    costs = run.costs.costs(trial.architecture)
    return {
        "cell": genotype,
        "score": trial.score,
        **{name: trial.metrics.get(name) for name in ("accuracy", "loss")},
        "truth": {column: truth[column][genotype] for column in COLUMNS},
        "skips": trial.architecture.choices.count(SKIP),
        "nones": trial.architecture.choices.count(NONE),
        "params": int(costs["params"]),
        "connected_params": int(costs["connected_params"]),
    }


def _look_at(
    leaf: Region, cells: Sequence[Architecture], done: Sequence[Trial], run: StudyRun, truth: Truth
) -> dict[str, Any]:
    """What a region named: its best by score, and the mean truth of all, a blind choice's."""
    mine = set(cells)
    space = run.space
    found: dict[str, Any] = {"region": leaf.id, "cells": len(mine)}
    if mine:
        best = best_trial([t for t in done if t.architecture in mine], cost=None)
        found |= {
            "best": _look_up(best, run, truth),
            "mean_truth": {
                column: round(
                    statistics.fmean(truth[column][space.genotype(cell)] for cell in mine), 3
                )
                for column in COLUMNS
            },
        }
    return found


def _mean_peak(run: StudyRun) -> float | None:
    """Mean probability of the likeliest option, over decisions with a choice and regions."""
    peaks = [
        max(options.values())
        for preferences in run.preferences()
        for options in preferences.values()
        if len(options) > 1
    ]
    return round(statistics.fmean(peaks), 3) if peaks else None


def measure_baselines(bench: Bench, truth: Truth) -> dict[str, Any]:
    """What a cell costs nothing to choose is worth: at random, the largest, all skips."""
    costs = costs_of(bench.recipe())
    space = costs.space
    cells = {genotype: space.parse(genotype) for genotype in truth[COLUMNS[0]]}
    most = max(cells, key=lambda g: costs.costs(cells[g])["connected_params"])
    skips = next(g for g, a in cells.items() if set(a.choices) == {SKIP})
    found = {}
    for column, values_of in truth.items():
        values = list(values_of.values())
        found[column] = {
            "random cell": [statistics.fmean(values), statistics.pstdev(values)],
            "largest cell": values_of[most],
            "skips alone": values_of[skips],
            "best cell": max(values),
        }
    return found | {"cells": {"largest cell": most, "skips alone": skips}}
