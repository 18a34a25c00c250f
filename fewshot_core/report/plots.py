"""The pictures of a report: data in, a matplotlib figure out; nothing global is touched.

Colours are those of Okabe and Ito, which the colour-blind tell apart, and no meaning hangs on
colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, StrMethodFormatter
from scipy.stats import rankdata

from fewshot_core.report.canvas import (
    BLUE,
    INK,
    LINES,
    ORANGE,
    SIZE,
    ShownFigure,
    Values,
    dots,
    fence,
    new_figure,
    styled,
    with_legend,
)
from fewshot_core.report.facts import (
    AuditFacts,
    Correlation,
    RegionFacts,
    TrialFacts,
    front_of,
)
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.training.validation import CURVE

HEIGHT = 38
"""Characters that fit the height of a picture."""

LONG = 56
"""Characters of a legend entry that still fits the width of a picture."""


NAME = 34
"""Characters of a line of a name beside its values."""


class HasValues(Protocol):
    """A name and a value for every seed, such as those of a retrained network."""

    @property
    def name(self) -> str:
        """What they are the values of."""

    @property
    def values(self) -> list[float]:
        """One for every seed."""


@styled
def search_progress(trials: Sequence[TrialFacts], score_name: str) -> Figure:
    """The score of every trial, and the best so far."""
    figure, (axes,) = new_figure()
    numbers = np.array([trial.number for trial in trials], dtype=float)
    scores = np.array([trial.score for trial in trials])
    dots(axes, numbers, scores, BLUE, "a trial", lowest=fence(scores))
    best = np.maximum.accumulate(scores)
    axes.step(numbers, best, where="post", color=INK, label="best so far")
    axes.set_ylim(bottom=fence(scores))
    axes.set(xlabel="trial", ylabel=wrap_name(score_name))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return with_legend(figure, axes)


@styled
def score_against_cost(
    trials: Sequence[TrialFacts], cost: str, score_name: str, found: str | None
) -> Figure:
    """Score against ``flops`` or ``params``, the Pareto front, and the architecture found."""
    figure, (axes,) = new_figure()
    costs = np.array([getattr(trial, cost) for trial in trials], dtype=float)
    scores = np.array([trial.score for trial in trials])
    dots(axes, costs, scores, BLUE, "a trial", lowest=fence(scores))
    front = front_of(trials)
    axes.plot(
        costs[front],
        scores[front],
        drawstyle="steps-post",
        color=ORANGE,
        marker="o",
        markersize=4,
        label="Pareto front",
    )
    place = [i for i, trial in enumerate(trials) if trial.id == found][:1]
    if place:
        axes.plot(
            costs[place],
            scores[place],
            linestyle="",
            marker="*",
            markersize=13,
            color=ORANGE,
            markeredgecolor=INK,
            label="found",
        )
    axes.set_ylim(bottom=fence(scores))
    names = {"flops": "FLOPs (multiply-adds for one image)", "params": "parameters"}
    axes.set(xlabel=names[cost], ylabel=wrap_name(score_name))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    return with_legend(figure, axes)


@styled
def audit_scatter(audit: AuditFacts, score_name: str, truth_name: str) -> Figure:
    """What the scores say, and what connected parameters say, against trained networks."""
    values = np.array(audit.values)
    scores, params = np.array(audit.scores), np.array(audit.costs["connected_params"])
    # Networks of exactly equal cost would be a column of dots that says nothing.
    panels = 2 if np.ptp(params) else 1
    figure, (left, *others) = new_figure(panels)

    def draw(axes: Axes, x: Values, colour: str, title: str, correlation: Correlation) -> None:
        start = fence(x) if axes is left else None
        dots(axes, x, values, colour, "", lowest=fence(values), leftmost=start, size=38, alpha=1)
        axes.set_ylim(bottom=fence(values))
        axes.set_xlim(left=start)
        axes.set_title(f"{title}\n{correlation_text(correlation)}", loc="left")

    draw(left, scores, BLUE, "by score", audit.of_scores)
    left.set(xlabel=score_name, ylabel=truth_name)
    for right in others:
        correlation = audit.of_costs["connected_params"]
        draw(right, params, ORANGE, "by parameters (baseline)", correlation)
        right.set(xlabel="connected parameters")
        right.xaxis.set_major_locator(MaxNLocator(4))
        right.xaxis.set_major_formatter(EngFormatter(sep=" "))
    return figure


def correlation_text(value: Correlation) -> str:
    """``τ 0.31 [−0.20, 0.75]``."""
    return f"τ {value.tau:z.2f} [{value.low:z.2f}, {value.high:z.2f}]".replace("-", "−")


@styled
def loss_curves(regions: Sequence[RegionFacts]) -> Figure:
    """Training loss of every supernet; one that inherits starts where its parent ends."""
    figure, (axes,) = new_figure()
    trained = [region for region in regions if region.state is not None and region.state.history]
    children = [region for region in trained if region.parent is not None]
    few = len(children) <= len(LINES)
    ends: dict[str, int] = {}
    for region in trained:
        state = region.state
        assert state is not None
        start = ends.get(region.parent or "", 0) if "inherited" in state.notes else 0
        ends[region.id] = start + state.images
        steps, losses = np.array(state.history, dtype=float).T
        images = start + (steps + 1) * state.images / max(1, state.step)
        root = region.parent is None
        place = children.index(region) if not root else 0
        colour = INK if root else LINES[place % len(LINES)] if few else BLUE
        label = region.id if root or few else f"{len(children)} regions" if place == 0 else None
        if root:  # the single steps of all would hide one another
            axes.plot(images, losses, color=colour, alpha=0.2, linewidth=0.7)
        axes.plot(
            images,
            running_mean(losses),
            color=colour,
            label=_short(label),
            alpha=1 if root or few else 0.5,
            linewidth=1.8 if root or few else 1,
        )
    smooth = [running_mean(np.array(r.state.history).T[1]) for r in trained if r.state]
    # The single steps are far noisier than what there is to see.
    axes.set_ylim(0, 1.15 * max(float(s.max()) for s in smooth))
    axes.set(xlabel="training images seen", ylabel="training loss, running mean")
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    widest = max((len(region.id) for region in trained), default=0)
    return with_legend(figure, axes, columns=2 if few and widest <= LONG // 2 else 1)


@styled
def retraining_curves(trainings: Mapping[str, StageState]) -> Figure:
    """Training loss of retrained networks; where there is one, their curve on validation images.

    Args:
        trainings: By their names. The losses of one are drawn at the images that it had seen.
    """
    measured = any(state.notes.get(CURVE) for state in trainings.values())
    figure = ShownFigure(SIZE, layout="constrained", facecolor="white")
    left, *right = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
    for place, (name, state) in enumerate(trainings.items()):
        colour, per_step = LINES[place % len(LINES)], state.images / max(1, state.step)
        steps, losses = np.array(state.history, dtype=float).T
        smooth = running_mean(losses)
        left.plot((steps + 1) * per_step, smooth, color=colour, label=_short(name))
        points = np.array(state.notes.get(CURVE, []), dtype=float).reshape(-1, 3).T
        dashed: dict[str, Any] = {"color": colour, "linestyle": "--", "marker": "o"}
        left.plot(points[0] * per_step, points[2], markersize=3, linewidth=1.2, **dashed)
        for axes in right:
            axes.plot(points[0] * per_step, points[1], markersize=4, **dashed)
    # The validation loss of a first look may be many times as large as any other.
    means = [running_mean(np.array(state.history).T[1]) for state in trainings.values()]
    left.set_ylim(0, 1.25 * max(float(losses.max()) for losses in means))
    left.set(ylabel="loss")
    for axes in right:
        axes.set(ylabel="validation accuracy (%)")
    for axes in (left, *right):
        axes.set(xlabel="training images seen")
        axes.xaxis.set_major_locator(MaxNLocator(4 if measured else 6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    return with_legend(figure, left, columns=3 if max(map(len, trainings)) <= LONG // 4 else 1)


LINE_HEIGHT = 0.19
"""Inches of a line of a name beside an axis."""


@styled
def test_results(rows: Sequence[HasValues], metric_name: str) -> Figure:
    """The test value of every seed as a dot; of several, mean and standard deviation as a bar."""
    figure, (axes,) = new_figure()
    several = next((i for i, row in enumerate(rows) if len(row.values) > 1), None)
    for place, row in enumerate(rows):
        values = np.array(row.values)
        colour = LINES[place % len(LINES)]
        if values.size > 1:
            axes.errorbar(
                values.mean(),
                place - 0.16,
                xerr=float(values.std(ddof=1)) or None,
                color=INK,
                marker="|",
                markersize=14,
                capsize=4,
                linewidth=1.6,
                label="mean ± standard deviation" if place == several else None,
            )
        offsets = place + 0.12 + 0.1 * np.arange(values.size) / max(1, values.size - 1)
        axes.plot(
            values,
            offsets,
            linestyle="",
            marker="o",
            markersize=6,
            color=colour,
            alpha=0.85,
            label="a seed" if place == 0 else None,
        )
    names = [textwrap.fill(row.name, NAME) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    # Names with many settings take several lines, and rows are as high as the highest.
    lines = len(rows) * max(name.count("\n") + 1 for name in names)
    figure.set_figheight(max(figure.get_figheight(), LINE_HEIGHT * lines + 1))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(metric_name)
    axes.margins(x=0.08)
    narrow = max(len(row.name) for row in rows) > NAME // 2  # names take the width from the axes
    return with_legend(figure, axes, columns=1 if narrow else 4)


test_results.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


@styled
def rank_clouds(clouds: Mapping[str, tuple[list[float], list[float]]], truth_name: str) -> Figure:
    """True value against the predicted rank, a panel for each score file."""
    figure, panels = new_figure(len(clouds))
    every = np.concatenate([truth for _, truth in clouds.values()])
    for axes, (name, (scores, truth)) in zip(panels, clouds.items(), strict=True):
        ranks = rankdata(-np.array(scores))
        values = np.array(truth)
        dots(axes, ranks, values, BLUE, "", lowest=fence(every), size=5, alpha=0.3)
        axes.set_ylim(bottom=fence(every))
        axes.set_title(f"{name}, {len(scores):,} networks", loc="left")
        axes.set_xlabel("predicted rank (1 = best)")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panels[0].set_ylabel(truth_name)
    return figure


# -- numbers -----------------------------------------------------------------------------------


def running_mean(values: Values) -> Values:
    """Centred mean over an eighth of the points, shorter at the ends."""
    reach = max(1, values.size // 16)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(values.size)
    low, high = np.maximum(index - reach, 0), np.minimum(index + reach + 1, values.size)
    return np.asarray((sums[high] - sums[low]) / (high - low))


def wrap_name(name: str) -> str:
    """A name of an axis in lines that fit its height."""
    return "\n".join(textwrap.wrap(name, HEIGHT))


def _short(label: str | None) -> str | None:
    """A long id without its middle: regions of one parent differ at the end."""
    if label is None or len(label) <= LONG:
        return label
    return f"{label[: LONG // 2 - 1]}…{label[-(LONG // 2) :]}"
