"""Differentiable strategies on CIFAR-10: the true accuracy of what they derive, one- and few-shot.

    python benchmarks/differentiable.py --data ../shared/data            the study; resumes
    python benchmarks/differentiable.py --data ../shared/data --quick    a minute; writes nothing
    python benchmarks/differentiable.py --data ../shared/data --show     what the rows say

DATA holds `cifar10/train.tar` and `nasbench201/accuracies.csv`. DARTS, PC-DARTS, ENAS and SETN
search a cell of NAS-Bench-201 with the same number of training images, those of the weights and
those of the preferences counted together, in one supernet or in five. What regions derive is
compared on validation images held out of the training images; the test images are not read. The
truth of what was found is looked up when all is over. Random search in a supernet of paths, a
random cell, the largest and one of skips alone stand beside. The stage `second`, DARTS of the
second order, costs more than twice as much per image. Jobs are shared among worker processes, and
each adds a row to the results when it is done: stop it at any time, and start it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from differentiable_arms import ARMS, SCORED, STAGES
from differentiable_jobs import DerivingPlan, Job, baselines, run_job
from differentiable_show import markdown, show, summary, write_plot
from jobs import (
    SMALL_IMAGES,
    Images,
    Task,
    arguments,
    places_of,
    read_rows,
    run_study,
    share_out,
    table_of,
    take,
)
from record import write_results

NAME = "differentiable"


@dataclass(frozen=True)
class Study:
    """Sizes of the study."""

    epochs: float
    seeds: int
    scored: int
    words: tuple[str, ...]


NETWORK = ("network.channels=8", "network.cells_per_stage=1", "threads=1")
FULL = Study(
    epochs=6,
    seeds=3,
    scored=SCORED,
    words=(*NETWORK, "evaluator.images=512", "evaluator.recalibrate=256"),
)
QUICK = Study(
    epochs=0.5,
    seeds=1,
    scored=5,
    words=(*NETWORK, "data.limit=1000", "evaluator.images=64", "evaluator.recalibrate=64"),
)


def main() -> int:
    options = _options()
    study = QUICK if options.quick else FULL

    def run(work: Path, rows: Path) -> int:
        return _run(options, study, _plan(options, study, work), rows)

    return run_study(options, NAME, table_of(options.data), run)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__, Path("runs/differentiable"))
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=None, help="main; of --quick both"
    )
    options = parser.parse_args()
    options.stages = options.stages or (STAGES if options.quick else STAGES[:1])
    return options


def _run(options: argparse.Namespace, study: Study, plan: DerivingPlan, rows: Path) -> int:
    if options.worker:
        take(_tasks(options.stages, study, plan), plan.work, rows)
        return 0
    more = ["--stages", *options.stages]
    if not options.show and not share_out(__file__, options, plan.work, more):
        return 1
    figures = summary(read_rows(rows), baselines(plan), plan)
    show(figures)
    if not options.quick:
        print(write_plot(figures))
        print(write_results(NAME, figures, range(study.seeds)))
    if options.markdown:
        print(markdown(figures))
    return 0


def _tasks(stages: Sequence[str], study: Study, plan: DerivingPlan) -> list[Task]:
    """Seed by seed, so that whatever is there can be compared."""
    images = Images()
    jobs = [
        Job(arm, seed)
        for stage in stages
        for seed in range(study.seeds)
        for arm in ARMS
        if arm.method.stage == stage
    ]
    return [
        Task(job.key, job.slug, job.words(plan), partial(run_job, job, plan, images))
        for job in jobs
    ]


def _plan(options: argparse.Namespace, study: Study, work: Path) -> DerivingPlan:
    return DerivingPlan(
        table_of(options.data),
        (*SMALL_IMAGES, *study.words),
        places_of(options.data),
        work,
        study.epochs,
        study.scored,
    )


if __name__ == "__main__":
    raise SystemExit(main())
