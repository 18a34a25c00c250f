"""What the study of generators measures: trainings from scratch, and scores of supernets."""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator, Sequence
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
from fewshot_tasks.autogan.space import generator_space


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
    words = [*bench.words, f"retrain.epochs={size.retrain_epochs:g}", "retrain.compare=[random]"]
    return bench.job(
        f"{stage} | {genotype} | seed {seed}",
        make_slug(stage, genotype.replace(",", ""), seed),
        words,
        partial(measure_generator, bench.work, stage, genotype, seed),
        recipe=[*bench.words, f"{size.retrain_epochs:g} epochs"],
    )


def arm_job(bench: Bench, size: Size, arm: str, seed: int) -> Job:
    """Train the supernets of an arm, and score generators with them."""
    words = [*bench.words, *arm_words(size, arm, seed)]
    return bench.job(
        f"arm | {arm} | seed {seed}",
        make_slug("arm", arm, seed),
        words,
        partial(measure_arm, bench.work, size, arm, seed),
        recipe=[*words, f"{size.generators} + {size.pool} generators"],
    )


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


def borrow_classifier(run: StudyRun, work: Path) -> Path:
    """Give a run the classifier of its metric, if one of the same seed was trained before.

    Returns:
        Where the classifier is kept for later runs.
    """
    kept = work / f"classifier-{run.recipe.seed}"
    if kept.exists() and not run.file("metric").exists():
        shutil.copytree(kept, run.file("metric"))
    return kept


def measure_generator(
    work: Path, stage: str, genotype: str, seed: int, run: StudyRun
) -> dict[str, Any]:
    """Train a generator from scratch; its figures on test images."""
    kept = borrow_classifier(run, work)
    row = run.test_from_scratch(run.space.parse(genotype), seed)
    if not kept.exists():
        copy_folder(run.file("metric"), kept)
    about = {"stage": stage, "genotype": genotype, "seed": seed}
    costs = {k: row[k] for k in ("params", "flops", "images_seen", "training_seconds")}
    return {**about, "metric": run.metric_text("fid"), **row["test"], **costs}


def measure_arm(work: Path, size: Size, arm: str, seed: int, run: StudyRun) -> dict[str, Any]:
    """Scores of all drawn generators by the supernets of an arm, and the one it would choose."""
    borrow_classifier(run, work)
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
