"""The mobile study: do supernets order networks of equal FLOPs, and does splitting help?

Networks inside two narrow bands of FLOPs are trained from scratch. Against their validation
accuracy are held, in each band: the scores of one supernet, of two and of four regions by the
kernels of first blocks, all of which see as many training images; and parameters. Beside what each
would deploy at that cost stand MobileNetV3-small with its widths scaled to it, and the mean of the
random networks.

    python benchmarks/mobile.py --data ../shared/data      # resumes; hours on two cores
    python benchmarks/mobile.py --quick                    # a few steps on digits

Test images are not read. A seed changes the supernets' held-out images, weights, paths and batches;
networks and references are those of seed 0.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jobs import Images, Task, arguments, places_of, read_rows, run_study, share_out, take
from mobile_jobs import MobilePlan, networks_of, run_arm, run_reference, run_truth, shape_of
from record import write_results
from rich.console import Console
from tables import grid, pipes, spread, spread_text

from fewshot_core.trust.ranking import bootstrap_tau, kendall

HEADER = ("band, MFLOPs", "predictor", "tau", "intervals of tau", "accuracy of its best")


def main() -> int:
    options = arguments(__doc__, Path("runs/mobile")).parse_args()

    def run(work: Path, rows: Path) -> int:
        plan, seeds = _plan(options, work)
        if options.worker:
            take(tasks_of(plan, seeds), plan.work, rows)
            return 0
        if not options.show and not share_out(__file__, options, plan.work, []):
            return 1
        figures = summary(read_rows(rows), plan, seeds)
        lines = list(_lines(figures))
        Console().print(grid("networks of equal FLOPs", HEADER, lines))
        if not options.quick:
            print(write_results("mobile", figures, range(seeds)))
        if options.markdown:
            print(pipes(HEADER, lines))
        return 0

    # The quick one looks at digits, which come with the program.
    needed = None if options.quick else options.data / "cifar10"
    return run_study(options, "mobile", needed, run)


def _plan(options: argparse.Namespace, work: Path) -> tuple[MobilePlan, int]:
    words: tuple[str, ...]
    if options.quick:
        words = ("recipe=mobile_digits", "data.limit=300", "evaluator.recalibrate=64")
        groups = "[[3], [5]]"
        return MobilePlan(words, (), work, (3.8e5,), 3, 1, 1, groups), 1
    words = (
        "recipe=mobile_cifar",
        "data.source=images",
        "evaluator.images=2000",
        "constraint.flops=null",
    )
    groups = "[[3, 5], [7]]"
    plan = MobilePlan(words, places_of(options.data), work, (2e6, 4e6), 12, 4, 8, groups)
    return plan, 3


def tasks_of(plan: MobilePlan, seeds: int) -> list[Task]:
    """All jobs, the truth first."""
    images, bands = Images(), networks_of(plan, shape_of([*plan.words, *plan.places]))
    base = [*plan.words, "seed=0"]
    tasks = []
    for band, networks in enumerate(bands):
        for number, network in enumerate(networks):
            slug = f"truth-{band}-{number}"
            words = [*base, f"retrain.epochs={plan.epochs}"]
            run = partial(run_truth, plan, slug, words, network, images)
            tasks.append(Task(f"truth | {band} | {number}", slug, words, run))
    for band, flops in enumerate(plan.bands):
        slug = f"reference-{band}"
        words = [*base, f"retrain.epochs={plan.epochs}"]
        run = partial(run_reference, plan, slug, words, flops, images)
        tasks.append(Task(f"reference | {band}", slug, words, run))
    for seed in range(seeds):
        for arm, settings in plan.arms().items():
            slug = f"arm-{''.join(c if c.isalnum() else '-' for c in arm)}-{seed}"
            words = [*plan.words, f"seed={seed}", *settings]
            run = partial(run_arm, plan, slug, words, bands, images)
            tasks.append(Task(f"{arm} | seed {seed}", slug, words, run))
    return tasks


def summary(rows: Mapping[str, Any], plan: MobilePlan, seeds: int) -> dict[str, Any]:
    """Figures of every band whose networks are all trained; missing arms are left out."""
    bands = {}
    for band, flops in enumerate(plan.bands):
        keys = [f"truth | {band} | {number}" for number in range(plan.networks)]
        if not all(key in rows for key in keys):
            continue
        truth = [rows[key]["accuracy"] for key in keys]
        predictors = {
            arm: [
                _figures(rows[key]["scores"]["loss"][band], truth)
                for seed in range(seeds)
                if (key := f"{arm} | seed {seed}") in rows
            ]
            for arm in plan.arms()
        }
        predictors["parameters"] = [_figures([rows[key]["params"] for key in keys], truth)]
        predictors["FLOPs"] = [_figures([rows[key]["flops"] for key in keys], truth)]
        reference = rows.get(f"reference | {band}")
        bands[f"{flops / 1e6:g}"] = {
            "networks": len(truth),
            "accuracy": {
                "mean": statistics.fmean(truth),
                "deviation": statistics.stdev(truth),
                "best": max(truth),
            },
            "predictors": {name: found for name, found in predictors.items() if found},
            "mobilenetv3_small": reference
            and {name: reference[name] for name in ("accuracy", "flops", "params", "multiplier")},
        }
    return bands


def _figures(scores: Sequence[float], truth: Sequence[float]) -> dict[str, Any]:
    return {
        "tau": kendall(scores, truth),
        "interval": list(bootstrap_tau(scores, truth)),
        "deployed": truth[int(np.argmax(scores))],
    }


def _lines(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    for band, found in figures.items():
        for name, seeds in found["predictors"].items():
            intervals = ", ".join(
                f"[{low:.2f}, {high:.2f}]" for low, high in (f["interval"] for f in seeds)
            )
            tau = spread_text(spread(f["tau"] for f in seeds), 2)
            deployed = spread_text(spread(f["deployed"] for f in seeds), 2)
            lines.append((band, name, tau, intervals, deployed))
        accuracy, reference = found["accuracy"], found["mobilenetv3_small"]
        random = spread_text((accuracy["mean"], accuracy["deviation"]), 2)
        lines.append((band, f"random network (of {found['networks']})", "", "", random))
        if reference:
            lines.append(
                (band, "MobileNetV3-small, scaled", "", "", f"{reference['accuracy']:.2f}")
            )
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
