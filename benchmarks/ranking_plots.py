"""The two plots of the ranking study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jobs import COLUMNS
from lines import baseline_lines
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from ranking_arms import ARMS
from ranking_jobs import Job, RankingPlan
from ranking_show import SCORE
from record import PICTURES

from fewshot_core.pipeline.rank import Truth
from fewshot_core.report.canvas import BLUE, ORANGE, save_png, styled
from fewshot_core.trust.scores import read_table

GREY = "#9aa3ab"
COUNTED = {"parameters, connected part": "connected parameters", "parameters": "parameters"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f4fc9", "#8c6d31")


@styled
def against_budget(figures: Mapping[str, Any], size: str) -> Figure:
    """Iso-cost tau and tau of every arm against training images, with the spread over seeds."""
    figure = Figure((9.0, 4.4), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 2)
    arms = [arm for arm in figures["arms"] if str(arm["cells"]) == size and arm["images"]]
    lines = []
    for panel, (name, title) in zip(
        panels, (("iso_cost_tau", "iso-cost tau"), ("tau", "tau over all")), strict=True
    ):
        lines = _curves(panel, arms, name)
        counted = figures["baselines"][size][COLUMNS[0]]
        baseline_lines(panel, {text: counted[key][name] for key, text in COUNTED.items()})
        panel.set(xscale="log", xlabel="training images seen by the whole arm, M", title=title)
        budgets = sorted({arm["epochs"]: arm["images"] for arm in arms}.values())
        panel.set_xticks(budgets, [f"{images / 1e6:.2f}" for images in budgets])
        panel.xaxis.set_minor_locator(NullLocator())
    labels = [line.get_label() for line in lines]
    figure.legend(lines, labels, loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def _curves(panel: Axes, arms: list[Mapping[str, Any]], name: str) -> list[Any]:
    lines = []
    places = [arm.name for arm in ARMS if any(a["arm"] == arm.name for a in arms)]
    for place, arm_name in enumerate(places):
        points = sorted(
            (a["images"], *a["figures"][COLUMNS[0]][SCORE][name])
            for a in arms
            if a["arm"] == arm_name
        )
        # A little aside each, or the bars of ten arms would hide one another.
        shift = 1 + 0.025 * (place - len(places) / 2)
        one_shot = arm_name.startswith("one-shot")
        container = panel.errorbar(
            [images * shift for images, _, _ in points],
            [mean for _, mean, _ in points],
            [spread or 0.0 for _, _, spread in points],
            color=COLOURS[place % len(COLOURS)] if "random" not in arm_name else GREY,
            linestyle="--" if one_shot else (":" if "random" in arm_name else "-"),
            marker="o" if one_shot else "s",
            markersize=4,
            linewidth=1.4,
            elinewidth=0.8,
            capsize=2,
            label=arm_name,
        )
        lines.append(container)
    return lines


@styled
def within_one_cost(clouds: Mapping[str, tuple[list[float], list[float]]], cost: str) -> Figure:
    """True accuracy against the predicted rank among the networks of one cost."""
    figure = Figure((9.0, 3.8), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(clouds), sharey=True, squeeze=False)[0]
    for panel, colour, (name, (scores, truth)) in zip(
        panels, (BLUE, ORANGE), clouds.items(), strict=False
    ):
        ranks = np.argsort(np.argsort(-np.array(scores))) + 1
        panel.scatter(ranks, truth, s=9, c=colour, alpha=0.5, linewidths=0)
        panel.set(xlabel="predicted rank (1 = best)", title=name)
    panels[0].set_ylabel("true accuracy, %")
    figure.suptitle(cost, fontsize=10)
    return figure


def write_plots(
    figures: Mapping[str, Any], plan: RankingPlan, jobs: list[Job], truth: Truth
) -> list[Path]:
    """Write both plots as far as there is anything to draw.

    Args:
        figures: The summary.
        plan: Of the study.
        jobs: The finished long jobs of one seed and budget, whose scores are drawn.
        truth: The table they are ranked on.
    """
    sizes = [
        size
        for size in figures["baselines"]
        if any(str(arm["cells"]) == size and arm["images"] for arm in figures["arms"])
    ]
    written = []
    if sizes:
        save_png(against_budget(figures, sizes[0]), PICTURES, "ranking_budget")
        written.append(PICTURES / "ranking_budget.png")
    # Rows may come from another machine, scores of single cells do not.
    there = all(_scores(job, plan, truth).exists() for job in jobs)
    clouds = {job.arm.name: cloud(job, plan, truth) for job in jobs if there}
    if clouds:
        count = len(next(iter(clouds.values()))[0])
        text = (
            f"the {count} distinct networks of {_group(truth)[1]:,.0f} parameters; "
            f"{jobs[0].epochs:g} epochs, seed {jobs[0].seed}"
        )
        save_png(within_one_cost(clouds, text), PICTURES, "ranking_one_cost")
        written.append(PICTURES / "ranking_one_cost.png")
    return written


def cloud(job: Job, plan: RankingPlan, truth: Truth) -> tuple[list[float], list[float]]:
    """Scores and true values of the distinct networks in the largest group of equal cost."""
    loss = read_table(_scores(job, plan, truth), "loss")
    mask, _ = _group(truth)
    scores, values, met = [], [], set()
    for index in np.flatnonzero(mask).tolist():
        target = truth.space.canonical(truth.architectures[index])
        if target not in met:
            met.add(target)
            scores.append(-loss[truth.space.genotype(target)])
            values.append(float(truth.values[index]))
    return scores, values


def _scores(job: Job, plan: RankingPlan, truth: Truth) -> Path:
    return plan.work / job.slug / "scores" / f"recalibrated-{len(truth.architectures)}.csv"


def _group(truth: Truth) -> tuple[Any, float]:
    costs = truth.costs["connected_params"]
    kept, counts = np.unique(costs[truth.connected], return_counts=True)
    largest = float(kept[counts.argmax()])
    return truth.connected & (costs == largest), largest
