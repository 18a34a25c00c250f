"""Generators: scores of supernets against generators that were trained from scratch.

    python benchmarks/autogan.py --data ../shared/data             the whole study, hours; resumes
    python benchmarks/autogan.py --data ../shared/data --quick     minutes; writes nothing
    python benchmarks/autogan.py --data ../shared/data --show      the tables of what is there

DATA holds `cifar10/train.tar` and `cifar10/test.tar`. Generators of the lab space, drawn once, are
trained from scratch (stage `truth`): their FID against the test images, by the classifier
extractor, is what scores are held against. Supernets, one-shot and few-shot at the same number of
steps, score the same generators against validation images (stage `arms`), and each names the best
of a pool that it also scores. What was named is trained from scratch (stage `choices`); the
generators of stage `truth` are random choices. No truth is used to choose.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autogan_show import NAME, PLAIN, markdown, show, summary, write_plot
from jobs import (
    Images,
    Task,
    arguments,
    close,
    images_seen,
    load_words,
    places_of,
    read_rows,
    run_study,
    share_out,
    take,
)
from record import write_results

from fewshot_core.pipeline.retrain import test_candidate
from fewshot_core.pipeline.search import start
from fewshot_core.pipeline.session import Session
from fewshot_core.pipeline.supernets import train_supernets
from fewshot_core.spaces.space import Architecture, SearchSpace
from tasks.autogan.space import generator_space

COMMON = (
    "recipe=autogan_cifar_lab",
    "data.source=images",
    "metric.watch_images=0",
    # Half the side and as many generators: a core sees more images in a second.
    "data.image_size=8",
    "network.cells=2",
)
PARENT_SHARE = 0.5
"""Share of a few-shot budget that the parent gets; the regions divide the rest."""

ARMS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    PLAIN: (0, ("split=none",)),
    "one-shot, images judged singly": (0, ("split=none", "gan.batch_deviation=false")),
    "few-shot, 2 by block": (2, ("split=decision", "split.decision=cell2_block")),
    "few-shot, 3 by upsampling": (3, ("split=decision", "split.decision=cell2_upsample")),
    "few-shot, 3 by norm": (3, ("split=decision", "split.decision=cell2_norm")),
    "few-shot, 6 by upsampling and block": (
        9,  # the three between are trained, too
        (
            "split=decision",
            "split.decision=cell2_upsample",
            "split.then=[{by: decision, decision: cell2_block}]",
        ),
    ),
}
"""Trainings after the parent's, and settings, of each arm."""


@dataclass(frozen=True)
class Study:
    """Sizes of the study.

    Attributes:
        generators: That are trained from scratch, each with ``truth_seeds`` seeds.
        pool: Further ones that an arm chooses from.
        epochs: Budget of an arm, in passes of the discriminator over the training images.
        retrain_epochs: The same of a training from scratch.
        words: Settings of every recipe.
    """

    generators: int
    truth_seeds: int
    pool: int
    epochs: float
    retrain_epochs: float
    arm_seeds: int
    choice_seeds: int
    words: tuple[str, ...] = ()


FULL = Study(20, 2, 100, 6, 2, 3, 3, ("metric.test_images=5000",))
QUICK = Study(
    4,
    1,
    4,
    0.2,
    0.1,
    1,
    1,
    (
        "data.limit=1000",
        "metric.images=40",
        "metric.test_images=60",
        "metric.steps=20",
        "evaluator.recalibrate=32",
        "network.channels=4",
        "network.supernet_channels=4",
        "network.discriminator=4",
        "network.supernet_discriminator=4",
    ),
)


@dataclass(frozen=True)
class Bench:
    """The study, where its images are, and where its jobs leave their runs."""

    study: Study
    places: tuple[str, ...]
    work: Path
    images: Images

    def open(self, slug: str, words: Sequence[str]) -> Session:
        """The run of a job."""
        loaded = load_words([*COMMON, *self.study.words, *self.places, *words])
        run = self.work / slug
        session = start(load_with(loaded, run), self.images.of(loaded.recipe))
        kept = self.work / f"classifier-{loaded.recipe.seed}"
        # The same recipe seed has the same classifier: it is trained once.
        if kept.exists() and not session.folder.file("metric").exists():
            shutil.copytree(kept, session.folder.file("metric"))
        return session

    def keep_classifier(self, session: Session) -> None:
        """Lend the classifier of a run to later ones."""
        kept = self.work / f"classifier-{session.recipe.seed}"
        if not kept.exists():
            beside = kept.with_name(f".{kept.name}.{session.folder.path.name}")
            shutil.copytree(session.folder.file("metric"), beside)
            try:
                beside.replace(kept)
            except OSError:  # another process was first
                shutil.rmtree(beside)


def load_with(loaded: Any, run: Path) -> Any:
    """The loaded recipe with a place for its run."""
    return type(loaded)(loaded.recipe, loaded.overrides, run)


def drawn(space: SearchSpace, study: Study) -> tuple[list[Architecture], list[Architecture]]:
    """The generators that are trained, and the further ones of the pool; all different."""
    rng = random.Random(0)
    found: dict[Architecture, None] = {}
    while len(found) < study.generators + study.pool:
        found.setdefault(space.sample(rng))
    every = list(found)
    return every[: study.generators], every[study.generators :]


def train_one(bench: Bench, slug: str, genotype: str, seed: int) -> dict[str, Any]:
    """The test figures of a generator trained from scratch."""
    words = [f"retrain.epochs={bench.study.retrain_epochs:g}", "retrain.compare=[random]"]
    session = bench.open(slug, words)
    try:
        scorer = session.scorer(session.recipe, session.data, "test")
        bench.keep_classifier(session)
        architecture = session.root.space.parse(genotype)
        row = test_candidate(session, scorer, "given", seed, architecture)
        metric = session.task.name_metric(session.task.description.metric, session.recipe, "test")
        return {"genotype": genotype, "seed": seed, "metric": metric, **row["test"]} | {
            k: row[k] for k in ("params", "flops", "images_seen", "training_seconds")
        }
    finally:
        close(session)


def arm_words(study: Study, arm: str, seed: int) -> list[str]:
    """The settings of an arm."""
    regions, split = ARMS[arm]
    parent = study.epochs * (PARENT_SHARE if regions else 1)
    rest = (study.epochs - parent) / max(1, regions)
    return [
        *split,
        f"seed={seed}",
        f"supernet.epochs={parent:g}",
        *([f"regions.epochs={rest:g}"] if regions else []),
        "retrain.compare=[random]",
    ]


def score_arm(bench: Bench, slug: str, arm: str, seed: int) -> dict[str, Any]:
    """Scores of all drawn generators by the supernets of an arm, and the one it would choose."""
    session = bench.open(slug, arm_words(bench.study, arm, seed))
    try:
        train_supernets(session)
        evaluator, space = session.evaluator(), session.root.space
        trained, pool = drawn(space, bench.study)
        scores = {space.genotype(a): evaluator.evaluate(a)["score"] for a in [*trained, *pool]}
        return {
            "arm": arm,
            "seed": seed,
            "scores": scores,
            "choice": max(scores, key=lambda genotype: scores[genotype]),
            "images_seen": images_seen(session),
        }
    finally:
        close(session)


# -- the jobs ----------------------------------------------------------------------------------


def truth_tasks(bench: Bench) -> list[Task]:
    space = generator_space(2)
    genotypes = [space.genotype(a) for a in drawn(space, bench.study)[0]]
    return [
        _training(bench, "truth", genotype, seed)
        for seed in range(bench.study.truth_seeds)
        for genotype in genotypes
    ]


def arm_tasks(bench: Bench) -> list[Task]:
    return [_arm(bench, arm, seed) for seed in range(bench.study.arm_seeds) for arm in ARMS]


def choice_tasks(bench: Bench, rows: Mapping[str, Any]) -> list[Task]:
    # A generator that several arms name is trained once per seed.
    chosen = sorted({row["choice"] for row in rows.values() if "choice" in row})
    return [
        _training(bench, "choice", genotype, seed)
        for genotype in chosen
        for seed in range(bench.study.choice_seeds)
    ]


def _training(bench: Bench, stage: str, genotype: str, seed: int) -> Task:
    slug = f"{stage}-{genotype.replace(',', '')}-{seed}"
    recipe = [*COMMON, *bench.study.words, f"{bench.study.retrain_epochs:g} epochs"]

    def run() -> dict[str, Any]:
        return {"recipe": recipe, "stage": stage, **train_one(bench, slug, genotype, seed)}

    return Task(f"{stage} | {genotype} | seed {seed}", slug, recipe, run)


def _arm(bench: Bench, arm: str, seed: int) -> Task:
    slug = f"arm-{''.join(c if c.isalnum() else '-' for c in arm)}-{seed}"
    recipe = [*COMMON, *bench.study.words, *arm_words(bench.study, arm, seed)]
    recipe.append(f"{bench.study.generators} + {bench.study.pool} generators")

    def run() -> dict[str, Any]:
        return {"recipe": recipe, "stage": "arm", **score_arm(bench, slug, arm, seed)}

    return Task(f"arm | {arm} | seed {seed}", slug, recipe, run)


def main() -> int:
    options = arguments(__doc__, Path("runs/autogan-study")).parse_args()
    study = QUICK if options.quick else FULL

    def run(work: Path, rows: Path) -> int:
        if options.worker:
            bench = Bench(study, places_of(options.data), work, Images())
            take(truth_tasks(bench), work, rows)
            take(arm_tasks(bench), work, rows)
            take(choice_tasks(bench, read_rows(rows)), work, rows)
            return 0
        if not options.show and not share_out(__file__, options, work, []):
            return 1
        figures = summary(read_rows(rows), list(ARMS))
        show(figures)
        if not options.quick:
            print(write_plot(figures))
            print(write_results(NAME, figures, range(study.arm_seeds)))
        if options.markdown:
            print(markdown(figures))
        return 0

    return run_study(options, NAME, options.data / "cifar10" / "train.tar", run)


if __name__ == "__main__":
    raise SystemExit(main())
