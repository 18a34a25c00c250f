"""What the study of generators measures: trainings from scratch, and scores of supernets."""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.studies.cifar10 import places_of
from benchmarks.studies.generators.arms import ARMS, COMMON, FULL, QUICK, Size, arm_words
from benchmarks.studies.generators.show import draw_arms, make_tables, summarise
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.runs import Bench, StudyRun, copy_folder
from benchmarks.studies.study import Figures, Study
from fewshot_core.spaces.space import Architecture, SearchSpace
from tasks.autogan.space import generator_space


class Generators(Study):
    """Scores of supernets against generators that were trained from scratch."""

    needs = "cifar10/train.tar"
    module = "benchmarks.studies.generators"
    folder = "runs/autogan-study"
    stages = ("truth", "arms", "choices")
    name = "autogan"
    tables = staticmethod(make_tables)

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.size = QUICK if options.quick else FULL
        self.seeds = self.size.arm_seeds
        self.bench = Bench((*COMMON, *self.size.words), places_of(options.data), work)

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        size = self.size
        if stage == "arms":
            seeds = range(size.arm_seeds)
            return [arm_job(self.bench, size, arm, seed) for seed in seeds for arm in ARMS]
        if stage == "truth":
            space = generator_space(2)
            genotypes = [space.genotype(a) for a in draw_generators(space, size)[0]]
            asked = [(g, seed) for seed in range(size.truth_seeds) for g in genotypes]
            return [training_job(self.bench, size, "truth", *one) for one in asked]
        # A generator that several arms name is trained once per seed.
        chosen = sorted({row["choice"] for row in rows.values() if "choice" in row})
        asked = [(g, seed) for g in chosen for seed in range(size.choice_seeds)]
        return [training_job(self.bench, size, "choice", *one) for one in asked]

    def summarise(self, rows: Rows) -> dict[str, Any]:
        return summarise(rows, list(ARMS))

    def pictures(self, figures: Figures, rows: Rows) -> Iterator[tuple[str, Figure]]:
        yield self.name, draw_arms(figures)


def training_job(bench: Bench, size: Size, stage: str, genotype: str, seed: int) -> Job:
    """Train a generator from scratch."""
    slug = make_slug(stage, genotype.replace(",", ""), seed)
    recipe = [*bench.words, f"{size.retrain_epochs:g} epochs"]
    measure = partial(measure_generator, bench, size, stage, slug, genotype, seed)
    return Job(f"{stage} | {genotype} | seed {seed}", slug, recipe, measure)


def arm_job(bench: Bench, size: Size, arm: str, seed: int) -> Job:
    """Train the supernets of an arm, and score generators with them."""
    slug = make_slug("arm", arm, seed)
    recipe = [*bench.words, *arm_words(size, arm, seed)]
    recipe.append(f"{size.generators} + {size.pool} generators")
    measure = partial(measure_arm, bench, size, slug, arm, seed)
    return Job(f"arm | {arm} | seed {seed}", slug, recipe, measure)


@contextmanager
def open_with_classifier(bench: Bench, slug: str, words: Sequence[str]) -> Iterator[StudyRun]:
    """Open a run whose metric has its classifier, if one of the same seed was trained before."""
    with bench.open(slug, [*bench.words, *words]) as run:
        kept = bench.work / f"classifier-{run.recipe.seed}"
        if kept.exists() and not run.file("metric").exists():
            shutil.copytree(kept, run.file("metric"))
        yield run


def draw_generators(
    space: SearchSpace, size: Size
) -> tuple[list[Architecture], list[Architecture]]:
    """The generators that are trained, and the further ones of the pool; all different."""
    rng = random.Random(0)
    found: dict[Architecture, None] = {}
    while len(found) < size.generators + size.pool:
        found.setdefault(space.sample(rng))
    every = list(found)
    return every[: size.generators], every[size.generators :]


def measure_generator(
    bench: Bench, size: Size, stage: str, slug: str, genotype: str, seed: int
) -> dict[str, Any]:
    """Train a generator from scratch; its figures on test images."""
    words = [f"retrain.epochs={size.retrain_epochs:g}", "retrain.compare=[random]"]
    with open_with_classifier(bench, slug, words) as run:
        row = run.test_from_scratch(run.space.parse(genotype), seed)
        kept = bench.work / f"classifier-{run.recipe.seed}"
        if not kept.exists():
            copy_folder(run.file("metric"), kept)
        about = {"stage": stage, "genotype": genotype, "seed": seed}
        costs = {k: row[k] for k in ("params", "flops", "images_seen", "training_seconds")}
        return {**about, "metric": run.metric_text("fid"), **row["test"], **costs}


def measure_arm(bench: Bench, size: Size, slug: str, arm: str, seed: int) -> dict[str, Any]:
    """Scores of all drawn generators by the supernets of an arm, and the one it would choose."""
    with open_with_classifier(bench, slug, arm_words(size, arm, seed)) as run:
        run.train_supernets()
        evaluator = run.evaluator()
        trained, pool = draw_generators(run.space, size)
        scores = {run.space.genotype(a): evaluator.evaluate(a)["score"] for a in [*trained, *pool]}
        return {
            "stage": "arm",
            "arm": arm,
            "seed": seed,
            "scores": scores,
            "choice": max(scores, key=lambda genotype: scores[genotype]),
            "images_seen": run.images_seen(),
        }
