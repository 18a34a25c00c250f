"""Rankings: few-shot against one-shot at the same number of training images, and what else matters.

    python benchmarks/ranking.py --data ../shared/data             the whole study, hours; resumes
    python benchmarks/ranking.py --data ../shared/data --quick     minutes; writes nothing
    python benchmarks/ranking.py --data ../shared/data --show      table and plots of what is there

DATA holds `cifar10/train.tar` and `nasbench201/accuracies.csv`. Supernets are trained on a part of
the training images and scored on the rest of them; the test images are not read. Every arm is done
at three budgets with three seeds and ranked on a fixed random part of the table (stage `arms`); the
best one-shot and the best few-shot arm again at a long budget, ranked on the whole table (stage
`long`). Training-free proxies are ranked on both (stage `proxies`).
Jobs are shared among worker processes, and each adds a row to the results when it is done: stop it
at any time, and start it again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jobs import (
    COLUMNS,
    SMALL_IMAGES,
    Images,
    Task,
    arguments,
    costs_of,
    places_of,
    read_rows,
    run_study,
    share_out,
    table_of,
    take,
)
from ranking_arms import ARMS, PROXIES
from ranking_jobs import Job, Proxy, RankingPlan, run_job, run_proxy
from ranking_plots import write_plots
from ranking_show import best_arm, markdown, show, summary
from record import write_results

from fewshot_core.pipeline.rank import Truth

STAGES = ("proxies", "arms", "long")


@dataclass(frozen=True)
class Study:
    """Sizes of the study."""

    epochs: tuple[float, ...]
    seeds: int
    long_epochs: tuple[float, ...]
    long_seeds: int
    cells: int
    long_cells: int | None
    words: tuple[str, ...]


FULL = Study(
    epochs=(2, 6, 18),
    seeds=3,
    long_epochs=(120,),
    long_seeds=2,
    cells=400,
    long_cells=None,
    words=("evaluator.images=512", "evaluator.recalibrate=256"),
)
QUICK = Study(
    epochs=(0.5,),
    seeds=1,
    long_epochs=(1,),
    long_seeds=1,
    cells=60,
    long_cells=100,
    words=("data.limit=2000", "evaluator.images=128", "evaluator.recalibrate=128"),
)


def main() -> int:
    options = _options()
    study = QUICK if options.quick else FULL

    def run(work: Path, rows: Path) -> int:
        return _run(options, study, _plan(options, study, work), rows)

    return run_study(options, "ranking", table_of(options.data), run)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__, Path("runs/ranking"))
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    return parser.parse_args()


def _run(options: argparse.Namespace, study: Study, plan: RankingPlan, rows: Path) -> int:
    if options.worker:
        _work(options.stages, study, plan, rows)
        return 0
    if not options.show and not share_out(
        __file__, options, plan.work, ["--stages", *options.stages]
    ):
        return 1
    figures = summary(read_rows(rows), plan)
    show(figures)
    if not options.quick:
        for path in write_plots(figures, plan, *_drawn(study, plan, read_rows(rows))):
            print(path)
        print(write_results("ranking", figures, range(study.seeds)))
    if options.markdown:
        for size in figures["baselines"]:
            print(markdown(figures, size), end="\n\n")
    return 0


def _work(stages: Sequence[str], study: Study, plan: RankingPlan, rows: Path) -> None:
    """Take one job after the other until none is left that nobody else is at."""
    images = Images()
    if "proxies" in stages:
        take(_proxy_tasks(study, plan, images), plan.work, rows)
    if "arms" in stages:
        take(_arm_tasks(study, plan, images), plan.work, rows)
    if "long" in stages:
        take(_long_tasks(study, plan, images, read_rows(rows)), plan.work, rows)


def _arm_tasks(study: Study, plan: RankingPlan, images: Images) -> list[Task]:
    # All seeds of a cheap budget first: its spread is known before the next budget begins.
    return [
        _task(Job(arm, seed, epochs), plan, images)
        for epochs in study.epochs
        for seed in range(study.seeds)
        for arm in ARMS
    ]


def _long_tasks(
    study: Study, plan: RankingPlan, images: Images, rows: Mapping[str, Any]
) -> list[Task]:
    one, few = (best_arm(rows, few=few) for few in (False, True))
    if one is None or few is None:
        print("stage long: the arms are not done, so it is not known yet which are the best")
        return []
    return [
        _task(Job(arm, seed, epochs, every=True), plan, images)
        for epochs in study.long_epochs
        for seed in range(study.long_seeds)
        for arm in (few, one)
    ]


def _drawn(study: Study, plan: RankingPlan, rows: Mapping[str, Any]) -> tuple[list[Job], Truth]:
    """The finished jobs of the longest budget and first seed, one-shot first, and their truth."""
    best = [arm for few in (False, True) if (arm := best_arm(rows, few=few)) is not None]
    for epochs in sorted(study.long_epochs, reverse=True):
        jobs = [Job(arm, 0, epochs, every=True) for arm in best]
        if jobs and all(job.key in rows for job in jobs):
            return jobs, plan.truth(COLUMNS[0], costs_of(plan), True)
    return [], plan.truth(COLUMNS[0], costs_of(plan), True)


def _task(job: Job, plan: RankingPlan, images: Images) -> Task:
    return Task(job.key, job.slug, job.words(plan), partial(run_job, job, plan, images))


def _proxy_tasks(study: Study, plan: RankingPlan, images: Images) -> list[Task]:
    """On the rows for short jobs with every seed, on those for long ones with the first."""
    asked = [Proxy(name, seed, False) for seed in range(study.seeds) for name in PROXIES]
    asked += [Proxy(name, 0, True) for name in PROXIES]
    return [_proxy_task(proxy, plan, images) for proxy in asked]


def _proxy_task(proxy: Proxy, plan: RankingPlan, images: Images) -> Task:
    return Task(proxy.key, proxy.slug, proxy.words(plan), partial(run_proxy, proxy, plan, images))


def _plan(options: argparse.Namespace, study: Study, work: Path) -> RankingPlan:
    return RankingPlan(
        table_of(options.data),
        (*SMALL_IMAGES, *study.words),
        places_of(options.data),
        work,
        study.cells,
        study.long_cells,
        10,
    )


if __name__ == "__main__":
    raise SystemExit(main())
