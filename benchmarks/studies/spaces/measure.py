"""What the study of spaces measures: arms are trained, scored and ranked against a table."""

from __future__ import annotations

import argparse
import dataclasses
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.cifar10 import costs_of, places_of, read_networks
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.runs import Bench, StudyRun
from benchmarks.studies.spaces.arms import FULL, PLACES, QUICK, SUPERNETS, Place
from benchmarks.studies.spaces.show import make_tables, summarise
from benchmarks.studies.study import Study
from fewshot_core.costs.table import CostTable
from fewshot_core.pipeline.rank import BASELINES, Truth
from fewshot_core.spaces.space import Architecture
from fewshot_core.trust.correlation import kendall
from fewshot_core.trust.ranking import random_figures

FIGURES = ("tau", "iso_cost_tau", "upper_tau", "best_true")
"""What is kept of a ranking."""

GROUP = 5
"""Networks of equal cost that make a group: few of a table are ranked."""


class Spaces(Study):
    """Every space against its table, at the same number of training images."""

    needs = "cifar10"
    module = "benchmarks.studies.spaces"
    folder = "runs/spaces"
    stages = tuple(PLACES)
    name = "spaces"
    tables = staticmethod(make_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        size = QUICK if options.quick else FULL
        self.seeds, self.data, self.work = size.seeds, options.data, work
        self.benches = {
            name: Bench((*place.words, *size.words), places_of(options.data), work)
            for name, place in PLACES.items()
        }
        self.places = {name: shrink(place, size.share) for name, place in PLACES.items()}

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        place, bench = self.places[stage], self.benches[stage]
        if self.data.exists() and not (self.data / place.table).exists():
            print(f"stage {stage}: {self.data} holds no {place.table}")
            return []
        costs = ["costs", *bench.words]
        jobs = [
            Job(f"{stage} | costs", make_slug(stage, "costs"), costs, partial(self._cost, stage))
        ]
        for seed in range(self.seeds):
            for arm in place.arms:
                words = [*bench.words, f"seed={seed}", *place.settings(arm)]
                key, slug = f"{stage} | {arm} | seed {seed}", make_slug(stage, arm, seed)
                measure = partial(measure_arm, arm, seed, place, self.data)
                jobs.append(bench.job(key, slug, words, measure))
        return jobs

    def summarise(self, rows: Rows) -> dict[str, Any]:
        return summarise(rows, self.places)

    def _cost(self, stage: str) -> dict[str, Any]:
        place = self.places[stage]
        truth = read_truth(place, self.data, costs_of(self.benches[stage].recipe()))
        random = random_figures(
            truth.values,
            costs=truth.costs[truth.cost],
            connected=truth.connected,
            canonical=truth.canonical,
            seeds=100,
            iso_minimum=truth.iso_minimum,
            tolerance=truth.tolerance,
        ).mean
        limit = median_cost(truth)
        half = truth.values[truth.costs[truth.cost] <= limit]
        return {
            "networks": len(truth.architectures),
            "equality": truth.equality,
            "iso_cost_count": random.iso_cost_count,
            "upper_count": random.upper_count,
            "best": float(truth.values.max()),
            "best_half": float(half.max()),
            "mean": float(truth.values.mean()),
            "mean_half": float(half.mean()),
            "limit": limit,
            "figures": {n: judge(truth, truth.costs[key], limit) for n, key in BASELINES.items()},
        }


def shrink(place: Place, share: float) -> Place:
    """A place with a share of its networks and images."""
    networks, trained = (max(3, round(n * share)) for n in (place.networks, place.trained))
    return dataclasses.replace(
        place, epochs=place.epochs * share, networks=networks, trained=min(trained, networks)
    )


@lru_cache(maxsize=1)
def _read_once(place: Place, data: Path) -> Mapping[Architecture, float]:
    """The networks of a place, which a worker reads once for all jobs: hashes take their time."""
    return read_networks(place.words, data / place.table, place.column)


def read_truth(place: Place, data: Path, costs: CostTable) -> Truth:
    """The networks that are ranked, drawn once."""
    values = _read_once(place, data)
    drawn = random.Random(0).sample(list(values), place.networks)
    return Truth.of(costs.space, {a: values[a] for a in drawn}, costs, GROUP, place.cost)


def judge(truth: Truth, scores: NDArray[np.float64], limit: float) -> dict[str, float | int | None]:
    """Figures of scores [n], and the true value of the best whose cost is within a limit."""
    found = truth.figures(scores).to_json()
    within = truth.costs[truth.cost] <= limit
    best = truth.values[within][scores[within] == scores[within].max()] if within.any() else None
    deployed = None if best is None else float(best.mean())
    return {name: found[name] for name in FIGURES} | {"best_true_half": deployed}


def median_cost(truth: Truth) -> float:
    """The median cost of the networks that are ranked: a limit for the lower half of them."""
    return float(np.median(truth.costs[truth.cost]))


def draw_trained(truth: Truth, place: Place, seed: int) -> list[int]:
    """Which networks are trained from scratch, by their number."""
    return random.Random(seed).sample(range(len(truth.architectures)), place.trained)


def measure_arm(arm: str, seed: int, place: Place, data: Path, run: StudyRun) -> dict[str, Any]:
    """Spend the images of an arm and rank by what it says; returns the row."""
    truth = read_truth(place, data, run.costs)
    drawn, limit = draw_trained(truth, place, seed), median_cost(truth)
    images = 0
    if arm in SUPERNETS:
        run.train_supernets()
        images = run.images_seen()
        table = run.score_table(truth, "recalibrated")
        losses = np.array([-table[a]["loss"] for a in truth.architectures])
        scores = {
            "loss": losses,
            "accuracy": np.array([table[a]["accuracy"] for a in truth.architectures]),
            "loss and cost": truth.ensemble(losses),
        }
    elif arm == "from scratch":
        truth = _take(truth, drawn)
        epochs = place.epochs / place.trained
        results = [run.train_standalone(a, epochs) for a in truth.architectures]
        images = round(epochs * len(run.data.train) * len(results))
        scores = {
            "loss": np.array([-found["loss"] for found in results]),
            "accuracy": np.array([found["accuracy"] for found in results]),
        }
        drawn = list(range(len(results)))
    else:
        evaluator = run.evaluator()
        every = [evaluator.evaluate(a)["score"] for a in truth.architectures]
        scores = {"score": np.array(every)}
    return {
        "precision": run.precision,
        "images": images,
        "networks": len(truth.architectures),
        "regions": len(run.leaves()),
        "figures": {
            name: judge(truth, values, limit)
            | {"tau_trained": kendall(values[drawn], truth.values[drawn])}
            for name, values in scores.items()
        },
        "best_of_trained": float(truth.values[drawn].max()),
    }


def _take(truth: Truth, numbers: Sequence[int]) -> Truth:
    """Some of the networks."""
    architectures = [truth.architectures[number] for number in numbers]
    return dataclasses.replace(
        truth,
        architectures=architectures,
        values=truth.values[numbers],
        costs={name: values[numbers] for name, values in truth.costs.items()},
        connected=truth.connected[numbers],
        canonical=[truth.canonical[number] for number in numbers],
    )
