"""Whether scores that are joined by rank order cells better than each of them.

    python -m benchmarks.studies.ensemble             minutes; resumes
    python -m benchmarks.studies.ensemble --quick     a minute; writes nothing
    python -m benchmarks.studies.ensemble --show      the table of what is there

The supernets are those that a GPU trained at the size of NAS-Bench-201, with 4 million images each;
their scores are kept beside the results of `benchmarks.gpu`. The same cells are scored by NASWOT,
which takes a batch of training images and no training. What is joined is joined as
`evaluator=ensemble` does it: ranks among 200 random cells.
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
from benchmarks.studies.jobs import Job, Rows
from benchmarks.studies.record import RESULTS
from benchmarks.studies.runs import Bench, StudyRun
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
    """Sizes of the study: seeds of supernets, and cells of which each is scored; None: all."""

    seeds: int
    cells: int | None


FULL, QUICK = Size(2, None), Size(1, 40)


class Ensemble(Study):
    """Scores of supernets, of an untrained network, and both."""

    needs = TABLE
    module = "benchmarks.studies.ensemble"
    folder = "runs/ensemble"
    name = "ensemble"

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds, self.data = self.size.seeds, options.data
        words = (*SMALL_IMAGES, "split=none", "evaluator=naswot")
        self.bench = Bench(words, places_of(options.data), work)

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        return [
            self.bench.job(
                f"NASWOT | seed {seed}",
                f"naswot-{seed}",
                [*self.bench.words, f"seed={seed}"],
                partial(measure_scores, self.truth.architectures),
            )
            for seed in range(self.seeds)
        ]

    @cached_property
    def costs(self) -> CostTable:
        """What the cells cost."""
        return costs_of(self.bench.recipe())

    @cached_property
    def truth(self) -> Truth:
        """The cells that every supernet has scored."""
        scored = [set(read_losses(kind, seed)) for kind in SUPERNETS for seed in range(self.seeds)]
        space = self.costs.space
        cells = {space.canonical(space.parse(g)) for g in sorted(set.intersection(*scored))}
        only = {space.genotype(a) for a in sorted(cells, key=lambda a: a.id)[: self.size.cells]}
        return Truth.read(self.data / TABLE, COLUMN, space, self.costs, only=only, iso_minimum=5)

    def summarise(self, rows: Rows) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for seed in range(self.seeds):
            row = rows.get(f"NASWOT | seed {seed}")
            if row is None:
                continue
            others = {SIZE: self.truth.costs[self.truth.cost], NASWOT: self._align(row["scores"])}
            alone = {SIZE: [others[SIZE]], NASWOT: [others[NASWOT]]}
            for kind, title in SUPERNETS.items():
                losses = -self._align(read_losses(kind, seed))
                for joined in JOINED:
                    parts = [losses, *(others[name] for name in joined)]
                    alone[" + ".join([title, *joined])] = parts
            for name, parts in alone.items():
                if name != SIZE or not seed:  # it is the same for every seed
                    found.setdefault(name, []).append(self._figures(join(parts)))
        return {"cells": len(self.truth.architectures), "ways": found}

    def tables(self, figures: Figures) -> list[Table]:
        return make_tables(figures)

    def _align(self, scores: Mapping[str, float]) -> NDArray[np.float64]:
        """Scores by genotype in the order of the cells."""
        return self.truth.align(dict(scores), Path("scores"))

    def _figures(self, scores: NDArray[np.float64]) -> dict[str, Any]:
        found, values = self.truth.figures(scores), self.truth.values
        costs = self.truth.costs[self.truth.cost]
        regret = {}
        for share in LIMITS:
            within = np.flatnonzero(costs <= np.quantile(costs, share))
            chosen = within[np.argmax(scores[within])]
            title = "no limit" if share == 1 else f"{share:.0%} meet it"
            regret[title] = float(values[within].max() - values[chosen])
        return {**{key: float(getattr(found, key)) for key in FIGURES}, "regret": regret}


def make_tables(figures: Figures) -> list[Table]:
    """How every score orders the cells, and the regret of its choice under each limit."""
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
    return [Table(f"{figures['cells']} cells, true {COLUMN} accuracy", header, lines)]


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


def measure_scores(cells: Sequence[Architecture], run: StudyRun) -> dict[str, Any]:
    """NASWOT of cells by genotype."""
    evaluator = run.evaluator()
    scores = {run.space.genotype(a): round(evaluator.evaluate(a)["score"], 4) for a in cells}
    return {"scores": scores}


if __name__ == "__main__":
    raise SystemExit(main(Ensemble, __doc__))
