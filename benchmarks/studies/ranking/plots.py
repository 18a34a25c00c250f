"""The two plots of the ranking study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from benchmarks.studies.cifar10 import COLUMNS
from benchmarks.studies.plots import draw_baselines
from benchmarks.studies.ranking.arms import ARMS
from benchmarks.studies.ranking.show import SCORE
from fewshot_core.pipeline.rank import Truth
from fewshot_core.report.canvas import BLUE, ORANGE, styled

GREY = "#9aa3ab"
COUNTED = {"parameters, connected part": "connected parameters", "parameters": "parameters"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f4fc9", "#8c6d31")


@styled
def draw_budgets(figures: Mapping[str, Any], size: str) -> Figure:
    """Draw iso-cost tau and tau of every arm against training images, with spreads over seeds."""
    figure = Figure((9.0, 4.4), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 2)
    arms = [arm for arm in figures["arms"] if str(arm["cells"]) == size and arm["images"]]
    lines = []
    for panel, (name, title) in zip(
        panels, (("iso_cost_tau", "iso-cost tau"), ("tau", "tau over all")), strict=True
    ):
        lines = _draw_curves(panel, arms, name)
        counted = figures["baselines"][size][COLUMNS[0]]
        draw_baselines(panel, {text: counted[key][name] for key, text in COUNTED.items()})
        panel.set(xscale="log", xlabel="training images seen by the whole arm, M", title=title)
        budgets = sorted({arm["epochs"]: arm["images"] for arm in arms}.values())
        panel.set_xticks(budgets, [f"{images / 1e6:.2f}" for images in budgets])
        panel.xaxis.set_minor_locator(NullLocator())
    labels = [line.get_label() for line in lines]
    figure.legend(lines, labels, loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def _draw_curves(panel: Axes, arms: list[Mapping[str, Any]], name: str) -> list[Any]:
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
def draw_one_cost(
    losses: Mapping[str, Mapping[str, float]], truth: Truth, cost: float, where: str
) -> Figure:
    """Draw true accuracy against predicted rank among the networks of one cost, in parameters.

    ``losses`` holds losses by genotype for up to two predictors; ``where`` ends the title.
    """
    clouds = {name: find_cloud(values, truth) for name, values in losses.items()}
    figure = Figure((9.0, 3.8), layout="constrained", facecolor="white")
    panels = figure.subplots(1, len(clouds), sharey=True, squeeze=False)[0]
    for panel, colour, (name, (scores, values)) in zip(
        panels, (BLUE, ORANGE), clouds.items(), strict=False
    ):
        ranks = np.argsort(np.argsort(-np.array(scores))) + 1
        panel.scatter(ranks, values, s=9, c=colour, alpha=0.5, linewidths=0)
        panel.set(xlabel="predicted rank (1 = best)", title=name)
    panels[0].set_ylabel("true accuracy, %")
    count = len(next(iter(clouds.values()))[0])
    figure.suptitle(
        f"the {count} distinct networks of {cost:,.0f} parameters; {where}", fontsize=10
    )
    return figure


def find_cloud(loss: Mapping[str, float], truth: Truth) -> tuple[list[float], list[float]]:
    """Scores and true values of the distinct networks in the largest group of equal cost."""
    mask, _ = largest_group(truth)
    scores, values, met = [], [], set()
    for index in np.flatnonzero(mask).tolist():
        target = truth.space.canonical(truth.architectures[index])
        if target not in met:
            met.add(target)
            scores.append(-loss[truth.space.genotype(target)])
            values.append(float(truth.values[index]))
    return scores, values


def largest_group(truth: Truth) -> tuple[NDArray[np.bool_], float]:
    """Which of the cells [n] are in the largest group of equal cost, and that cost."""
    costs = truth.costs["connected_params"]
    kept, counts = np.unique(costs[truth.connected], return_counts=True)
    largest = float(kept[counts.argmax()])
    return truth.connected & (costs == largest), largest
