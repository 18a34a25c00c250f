"""Scores of the networks that have learning curves: of supernets, and without any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.studies.deploy.places import SMALL
from benchmarks.studies.jobs import Job, make_slug
from benchmarks.studies.runs import Bench, StudyRun
from benchmarks.studies.spaces.arms import PLACES as SPACES
from fewshot_core.spaces.space import Architecture

ARMS = {
    "NASWOT": "NASWOT",
    "one-shot": "one-shot, by complexity",
    "few-shot": "few-shot, by complexity",
}
"""Arms of the study of spaces by the names that ways know them by."""

NAMES = {"nasbench201": "nasbench201", "nasbenchmacro": "nasbench_macro"}
"""What the study of spaces calls a place."""


@dataclass(frozen=True)
class ScoreSize:
    """Sizes of the scores.

    Attributes:
        images: Training images that the supernets of an arm see.
        seeds: Seeds of every arm.
        words: Settings of the evaluator.
    """

    images: int
    seeds: int
    words: tuple[str, ...] = ("evaluator.images=2000", "evaluator.recalibrate=256")


def score_jobs(
    name: str, bench: Bench, networks: Sequence[Architecture], size: ScoreSize
) -> list[Job]:
    """A job for every arm and seed, those first that train nothing."""
    recipe = bench.recipe()
    images = recipe.data.limit or 50_000
    epochs = round(size.images / images / (1 - recipe.data.validation), 2)
    place = replace(SPACES[NAMES[name]], epochs=epochs)
    rates = ("supernet.lr=0.05", "regions.lr=0.025")
    jobs = []
    for seed in range(size.seeds):
        for arm, kind in ARMS.items():
            words = [*bench.words, *SMALL, *rates, *size.words, f"seed={seed}"]
            words += place.settings(kind)
            which = f"networks={len(networks)}"
            slug = make_slug(name, "score", arm, seed)
            measure = partial(measure_scores, arm, networks)
            key = f"{name} | score | {arm} | seed {seed}"
            jobs.append(bench.job(key, slug, words, measure, recipe=[*words, which]))
    return jobs


def measure_scores(arm: str, networks: Sequence[Architecture], run: StudyRun) -> dict[str, Any]:
    """Scores of all networks by their ids, the higher the better, and the images they cost."""
    images = 0
    if arm != "NASWOT":
        run.train_supernets()
        images = run.images_seen()
    evaluator = run.evaluator()
    scores = {a.id: round(float(evaluator.evaluate(a)["score"]), 5) for a in networks}
    return {"precision": run.precision, "images": images, "scores": scores}
