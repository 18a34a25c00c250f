"""Learning curves of networks whose true accuracies are known."""

from __future__ import annotations

import argparse
import math
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks.studies.cifar10 import costs_of, places_of
from benchmarks.studies.deploy.decide import (
    SEEDS,
    decision_jobs,
    make_pool,
    summarise_decisions,
)
from benchmarks.studies.deploy.decisions import Pool
from benchmarks.studies.deploy.places import PLACES, Place, curves_of, read_once
from benchmarks.studies.deploy.scores import ScoreSize, score_jobs
from benchmarks.studies.deploy.show import make_tables, summarise
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.runs import Bench, StudyRun
from benchmarks.studies.study import Study
from fewshot_core.costs.table import CostTable
from fewshot_core.pipeline.rank import Truth
from fewshot_core.spaces.space import Architecture

LEAST = 4
"""Networks of a place, however small its share is."""

BANDS = 5
"""Parts of equal size by cost; the better ones of each get the longer trainings."""

BLOCK = 10
"""Networks that a job trains."""


@dataclass(frozen=True)
class Size:
    """Sizes of the curves.

    Attributes:
        lengths: Training images of a network, and which share of the networks gets so many: the
            best by the length before, among those of similar cost.
        again: Share of the networks of the first lengths that are trained with a second seed.
        words: Settings of every recipe.
        scores: Sizes of the scores.
        searches: Simulated searches of each way.
        share: Share of the networks of a place.
    """

    lengths: tuple[tuple[int, float], ...]
    again: float
    words: tuple[str, ...]
    scores: ScoreSize
    searches: int = SEEDS
    share: float = 1.0


FULL = Size(
    lengths=((6_000, 1.0), (22_000, 1.0), (67_000, 1 / 3), (200_000, 0.1)),
    again=0.2,
    words=("data.source=images",),
    scores=ScoreSize(images=1_000_000, seeds=2),
)
QUICK = Size(
    lengths=((600, 1.0), (1_200, 0.4)),
    again=0.5,
    words=("data.source=images", "data.limit=2000"),
    scores=ScoreSize(
        images=2_000, seeds=1, words=("evaluator.images=64", "evaluator.recalibrate=64")
    ),
    searches=3,
    share=0.01,
)


class Deploy(Study):
    """Learning curves, length by length: the longer ones of the better networks."""

    needs = "cifar10"
    module = "benchmarks.studies.deploy"
    folder = "runs/deploy"
    stages = ("length1", "length2", "length3", "scores", "again", "length4", "decisions")
    name = "deploy"
    seeds = 2
    tables = staticmethod(make_tables)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--places", nargs="+", choices=[*PLACES], help="tables, by default all")

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.data = options.data
        self._networks: dict[str, list[Architecture]] = {}
        self.places = {
            name: replace(place, networks=max(LEAST, round(place.networks * self.size.share)))
            for name, place in PLACES.items()
            if (options.data / place.table).exists() and name in (options.places or PLACES)
        }
        self.benches = {
            name: Bench((*place.words, *self.size.words), places_of(options.data), work)
            for name, place in self.places.items()
        }

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        jobs: list[Job] = []
        for name, place in self.places.items():
            if stage == "scores":
                jobs += score_jobs(name, self.benches[name], self._drawn(name), self.size.scores)
                continue
            if stage == "decisions":
                known = curves_of(name, rows).get((self.size.lengths[0][0], 0), {})
                if len(known) == place.networks:
                    jobs += decision_jobs(name, place, self._pools(name, rows), self.size.searches)
                continue
            if stage == "again":
                few = self._drawn(name)[: self._share(name, self.size.again)]
                for images, share in self.size.lengths:
                    if share == 1.0:
                        jobs += self._blocks(name, images, 1, few)
                continue
            number = int(stage.removeprefix("length")) - 1
            if number < len(self.size.lengths):
                images, _ = self.size.lengths[number]
                jobs += self._blocks(name, images, 0, self._chosen(name, number, rows))
        if stage not in ("scores", "decisions"):
            # Places in turn: of a study that is stopped each has something.
            jobs.sort(key=lambda job: int(job.key.rsplit(" ", 1)[1]))
        return jobs

    def summarise(self, rows: Rows) -> dict[str, Any]:
        found = {}
        for name, place in self.places.items():
            recipe = self.benches[name].recipe()
            values = {c: read_once(place, c, self.data) for c in place.columns}
            curves = curves_of(name, rows)
            trained = {a for of_seed in curves.values() for a in of_seed}
            truths = {
                column: Truth.of(
                    costs_of(recipe).space,
                    {a: value for a, value in known.items() if a.id in trained},
                    costs_of(recipe),
                    5,
                    place.cost,
                )
                for column, known in values.items()
            }
            found[name] = summarise(curves, truths, place.networks)
            found[name]["decisions"] = summarise_decisions(name, rows, place.columns)
        return found

    def _pools(self, name: str, rows: Rows) -> dict[str, Pool]:
        place, costs = self.places[name], costs_of(self.benches[name].recipe())
        wanted = {images: self._share(name, share) for images, share in self.size.lengths}
        return {c: make_pool(name, place, c, rows, costs, self.data, wanted) for c in place.columns}

    # -- which networks ------------------------------------------------------------------------

    def _share(self, name: str, share: float) -> int:
        return math.ceil(self.places[name].networks * share - 1e-9)

    def _drawn(self, name: str) -> list[Architecture]:
        if name not in self._networks:
            costs = costs_of(self.benches[name].recipe())
            self._networks[name] = draw_networks(self.places[name], self.data, costs)
        return self._networks[name]

    def _chosen(self, name: str, number: int, rows: Rows) -> list[Architecture]:
        """The networks of a length; none before those of the length before are all done."""
        drawn = self._drawn(name)
        share = self.size.lengths[number][1]
        if share == 1.0:
            return drawn
        before = curves_of(name, rows).get((self.size.lengths[number - 1][0], 0), {})
        if not before or len(before) < len(self._chosen(name, number - 1, rows)):
            return []
        costs, cost = costs_of(self.benches[name].recipe()), self.places[name].cost
        prices = {a: costs.costs(a)[cost] for a in drawn}
        results = {a: before[a.id][0] for a in drawn if a.id in before}
        return choose_better(results, prices, self._share(name, share))

    def _blocks(
        self, name: str, images: int, seed: int, networks: Sequence[Architecture]
    ) -> list[Job]:
        bench, jobs = self.benches[name], []
        for start in range(0, len(networks), BLOCK):
            number, block = start // BLOCK, networks[start : start + BLOCK]
            key = f"{name} | {images} images | seed {seed} | {number}"
            words = [*bench.words, f"seed={seed}"]
            # A length of the better networks has others if those before it change.
            which = [f"networks={' '.join(a.id for a in block)}"]
            slug = make_slug(name, images, seed, number)
            measure = partial(measure_block, images, block)
            jobs.append(bench.job(key, slug, words, measure, recipe=[*words, *which]))
        return jobs


def draw_networks(place: Place, data: Path, costs: CostTable) -> list[Architecture]:
    """The networks that are trained, in an order of which any beginning is a sample.

    Of ten in a row so many are of the half that costs more as ``place.upper`` says.
    """
    known = list(read_once(place, place.columns[0], data))
    random.Random(0).shuffle(known)
    prices = {a: costs.costs(a)[place.cost] for a in known}
    median = sorted(prices.values())[len(known) // 2]
    halves = {
        True: [a for a in known if prices[a] > median],
        False: [a for a in known if prices[a] <= median],
    }
    drawn: list[Architecture] = []
    upper = 0
    while len(drawn) < place.networks and any(halves.values()):
        wanted = upper < place.upper * max(1, len(drawn))
        half = wanted if all(halves.values()) else bool(halves[True])
        drawn.append(halves[half].pop())
        upper += half
    return drawn


def choose_better(
    results: Mapping[Architecture, float], prices: Mapping[Architecture, float], count: int
) -> list[Architecture]:
    """The best of every band of costs in turn: under each limit some have the longer curves.

    Args:
        results: What a training gave; higher is better.
        prices: The costs, by which all are divided into :data:`BANDS` of equal size.
        count: How many are chosen.
    """
    by_price = sorted(prices, key=lambda a: (prices[a], a.id))
    bands: list[list[Architecture]] = [[] for _ in range(BANDS)]
    for place, architecture in enumerate(by_price):
        if architecture in results:
            bands[place * BANDS // len(by_price)].append(architecture)
    ranked = [sorted(band, key=lambda a: -results[a]) for band in bands]
    turns = [a for turn in zip_longest(*ranked) for a in turn if a is not None]
    return turns[:count]


def measure_block(images: int, networks: Sequence[Architecture], run: StudyRun) -> dict[str, Any]:
    """Train some networks from scratch; accuracy and loss of each by its id."""
    epochs = images / len(run.data.train)
    found = {}
    for network in networks:
        metrics = run.train_standalone(network, epochs)
        found[network.id] = [round(metrics["accuracy"], 3), round(metrics["loss"], 5)]
    shutil.rmtree(run.file("standalone"))  # its figures are kept, and there will be thousands
    return {"precision": run.precision, "networks": found}
