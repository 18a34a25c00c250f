"""Whether scores that are joined by rank order cells better than each of them.

    python -m benchmarks.studies.ensemble             minutes; resumes
    python -m benchmarks.studies.ensemble --quick     a minute; writes nothing
    python -m benchmarks.studies.ensemble --show      the table of what is there

Stage `gpu`: the supernets are those that a GPU trained at the size of NAS-Bench-201, with 4 million
images each; their scores are kept beside the results of `benchmarks.gpu`. The other stages train
one supernet of a space of the study of spaces, as it does. The same networks are scored by NASWOT,
which takes a batch of training images and no training. What is joined is joined as
`evaluator=ensemble` does it: ranks among 200 random networks.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.cifar10 import SMALL_IMAGES, TABLE, costs_of, places_of
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.record import RESULTS
from benchmarks.studies.runs import Bench, StudyRun
from benchmarks.studies.spaces.arms import FULL as SCORING
from benchmarks.studies.spaces.arms import PLACES, Place
from benchmarks.studies.spaces.arms import QUICK as SCORING_QUICK
from benchmarks.studies.spaces.measure import read_truth, shrink
from benchmarks.studies.study import Figures, Study, main
from benchmarks.studies.tables import Table, spread, spread_text
from fewshot_core.costs.table import CostTable
from fewshot_core.evaluators.ensemble import RankScale
from fewshot_core.pipeline.rank import Truth
from fewshot_core.spaces.space import Architecture

SAMPLES = 200
"""Cells that ranks are among, as in a search."""

COLUMN = "cifar10"
SIZE, NASWOT = "size", "NASWOT"
SUPERNETS = {"one-shot": "one supernet", "few-shot": "five sub-supernets"}
JOINED = ((), (SIZE,), (NASWOT,), (NASWOT, SIZE))
LIMITS = (0.2, 0.6, 1.0)
"""Limits on parameters, by the share of the cells that meet them."""

FIGURES = ("tau", "iso_cost_tau", "upper_tau")


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        seeds: Seeds of supernets; the GPU trained two.
        cells: Of those of the GPU, cells that are compared; None: all.
        share: Share of the images and networks of the other places.
    """

    seeds: int
    cells: int | None
    share: float = 1.0


FULL, QUICK = Size(3, None), Size(1, 40, 0.05)
ON_GPU = 2
GPU = "gpu"
OTHERS = ("nasbench1shot1_1",)


class Ensemble(Study):
    """Scores of supernets, of an untrained network, and both."""

    needs = TABLE
    module = "benchmarks.studies.ensemble"
    folder = "runs/ensemble"
    stages = (GPU, *OTHERS)
    name = "ensemble"

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds, self.data = self.size.seeds, options.data
        self.on_gpu = min(self.seeds, ON_GPU)
        words = (*SMALL_IMAGES, "split=none", "evaluator=naswot")
        self.bench = Bench(words, places_of(options.data), work)
        scoring = SCORING_QUICK if options.quick else SCORING
        self.places = {name: shrink(PLACES[name], self.size.share) for name in OTHERS}
        self.benches = {
            name: Bench((*place.words, *scoring.words), places_of(options.data), work)
            for name, place in self.places.items()
        }

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        if stage == GPU:
            return [
                self.bench.job(
                    f"NASWOT | seed {seed}",
                    f"naswot-{seed}",
                    [*self.bench.words, f"seed={seed}"],
                    partial(measure_scores, self.truth.architectures),
                )
                for seed in range(self.on_gpu)
            ]
        place, bench = self.places[stage], self.benches[stage]
        if self.data.exists() and not (self.data / place.table).exists():
            print(f"stage {stage}: {self.data} holds no {place.table}")
            return []
        jobs = []
        for seed in range(self.seeds):
            words = [*bench.words, f"seed={seed}", *place.settings("one-shot")]
            measure = partial(measure_both, place, self.data)
            jobs.append(bench.job(f"{stage} | seed {seed}", make_slug(stage, seed), words, measure))
        return jobs

    @cached_property
    def costs(self) -> CostTable:
        """What the cells cost."""
        return costs_of(self.bench.recipe())

    @cached_property
    def truth(self) -> Truth:
        """The cells that every supernet of the GPU has scored."""
        scored = [set(read_losses(kind, seed)) for kind in SUPERNETS for seed in range(self.on_gpu)]
        space = self.costs.space
        cells = {space.canonical(space.parse(g)) for g in sorted(set.intersection(*scored))}
        only = {space.genotype(a) for a in sorted(cells, key=lambda a: a.id)[: self.size.cells]}
        return Truth.read(self.data / TABLE, COLUMN, space, self.costs, only=only, iso_minimum=5)

    def summarise(self, rows: Rows) -> dict[str, Any]:
        found = {GPU: self._of_gpu(rows)} if "NASWOT | seed 0" in rows else {}
        for name, place in self.places.items():
            done = [rows[k] for s in range(self.seeds) if (k := f"{name} | seed {s}") in rows]
            if done:
                truth = read_truth(place, self.data, costs_of(self.benches[name].recipe()))
                ways: dict[str, Any] = {}
                for seed, row in enumerate(done):
                    losses = {"one supernet": -np.array(row["losses"])}
                    _add(ways, truth, losses, np.array(row["naswot"]), seed)
                found[name] = {"networks": len(truth.architectures), "ways": ways}
        return found

    def tables(self, figures: Figures) -> list[Table]:
        return make_tables(figures)

    def _of_gpu(self, rows: Rows) -> dict[str, Any]:
        ways: dict[str, Any] = {}
        for seed in range(self.on_gpu):
            row = rows.get(f"NASWOT | seed {seed}")
            if row is not None:
                losses = {
                    title: -self._align(read_losses(kind, seed))
                    for kind, title in SUPERNETS.items()
                }
                _add(ways, self.truth, losses, self._align(row["scores"]), seed)
        return {"networks": len(self.truth.architectures), "ways": ways}

    def _align(self, scores: Mapping[str, float]) -> NDArray[np.float64]:
        """Scores by genotype in the order of the cells."""
        return self.truth.align(dict(scores), Path("scores"))


def _add(
    ways: dict[str, Any],
    truth: Truth,
    supernets: Mapping[str, NDArray[np.float64]],
    naswot: NDArray[np.float64],
    seed: int,
) -> None:
    """Add the figures of a seed: of every score, and of those that are joined."""
    others = {SIZE: truth.costs[truth.cost], NASWOT: naswot}
    parts = {name: [values] for name, values in others.items()}
    for title, scores in supernets.items():
        for joined in JOINED:
            parts[" + ".join([title, *joined])] = [scores, *(others[name] for name in joined)]
    for name, some in parts.items():
        if name != SIZE or not seed:  # it is the same for every seed
            ways.setdefault(name, []).append(figures_of(join(some), truth))


def figures_of(scores: NDArray[np.float64], truth: Truth) -> dict[str, Any]:
    """How scores ``[n]`` order, and the regret of their choice under each limit."""
    found, costs = truth.figures(scores), truth.costs[truth.cost]
    regret = {}
    for share in LIMITS:
        within = np.flatnonzero(costs <= np.quantile(costs, share))
        chosen = within[np.argmax(scores[within])]
        title = "no limit" if share == 1 else f"{share:.0%} meet it"
        regret[title] = float(truth.values[within].max() - truth.values[chosen])
    return {**{key: float(getattr(found, key)) for key in FIGURES}, "regret": regret}


def make_tables(figures: Figures) -> list[Table]:
    """How every score orders the networks, and the regret of its choice under each limit."""
    return [_make_table(name, place) for name, place in figures.items()]


def _make_table(place: str, figures: Mapping[str, Any]) -> Table:
    limits = list(next(iter(figures["ways"].values()))[0]["regret"])
    lines = []
    for name, of_seeds in figures["ways"].items():
        values = [[one[key] for one in of_seeds] for key in FIGURES]
        regrets = [[one["regret"][limit] for one in of_seeds] for limit in limits]
        mean = [float(np.mean(list(one["regret"].values()))) for one in of_seeds]
        cells = [spread_text(spread(v), 3) or "–" for v in values]
        cells += [spread_text(spread(v), 2) or "–" for v in (*regrets, mean)]
        lines.append([f"{name} ({len(of_seeds)})", *cells])
    titles = [f"regret, {limit}" for limit in limits]
    header = ("scores (seeds)", "tau", "iso-cost tau", "upper half", *titles, "mean regret")
    title = f"{place}: {figures['networks']} networks, true accuracy on CIFAR-10"
    return Table(title, header, lines)


def join(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean rank by several scores ``[n]`` of the same cells; of one the scores themselves."""
    if len(parts) == 1:
        return parts[0]
    chosen = random.Random(0).sample(range(len(parts[0])), min(SAMPLES, len(parts[0])))
    scales = [RankScale(part[chosen]) for part in parts]
    ranks = [[scale(v) for v in part] for scale, part in zip(scales, parts, strict=True)]
    return np.mean(ranks, axis=0)


def read_losses(kind: str, seed: int) -> dict[str, float]:
    """Validation losses of cells by the supernets that the GPU trained, by genotype."""
    path = RESULTS / f"gpu_scores_{kind}_{seed}.csv.gz"
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        return {row["architecture"]: float(row["loss"]) for row in csv.DictReader(file)}


def measure_both(place: Place, data: Path, run: StudyRun) -> dict[str, Any]:
    """Train one supernet; its losses of the networks of a place, and their NASWOT."""
    truth = read_truth(place, data, run.costs)
    run.train_supernets()
    table = run.score_table(truth, "recalibrated")
    untrained = run.evaluator_named("naswot")
    return {
        "images": run.images_seen(),
        "losses": [round(table[a]["loss"], 5) for a in truth.architectures],
        "naswot": [round(untrained.evaluate(a)["score"], 4) for a in truth.architectures],
    }


def measure_scores(cells: Sequence[Architecture], run: StudyRun) -> dict[str, Any]:
    """NASWOT of cells by genotype."""
    evaluator = run.evaluator()
    scores = {run.space.genotype(a): round(evaluator.evaluate(a)["score"], 4) for a in cells}
    return {"scores": scores}


if __name__ == "__main__":
    raise SystemExit(main(Ensemble, __doc__))
