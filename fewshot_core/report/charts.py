"""Charts of trials as inline SVG, in which every trial is a mark that can be pointed at.

They read without a script: every mark has a title, and says as a link or a button what it is. The
script of the page (``page.js``) adds the keyboard, the selection and the panel beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator

from fewshot_core.report.canvas import fence
from fewshot_core.report.facts import TrialFacts, front_of
from fewshot_core.report.headline import engineering
from fewshot_core.report.plots import wrap_name

WIDTH, HEIGHT = 480, 330
LEFT, RIGHT, TOP, BOTTOM = 86, 14, 14, 52
"""Margins around the axes, in the units of the drawing: at 480 pixels wide they are pixels."""

MOST = 1000
"""Marks of a chart; of more trials those are left out that are neither best nor on the front."""

STAR = "M0-9 2.6-2.9 9-2.8 3.9 1.6 5.6 7.6 0 4-5.6 7.6-3.9 1.6-9-2.8-2.6-2.9Z"


@dataclass(frozen=True)
class Scale:
    """From values to places of a drawing.

    Attributes:
        low, high: The ends of the axis.
        start, end: Where they are drawn.
        ticks: Values that are labelled.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: Sequence[float]

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


@dataclass(frozen=True)
class Trials:
    """The trials of the charts.

    Attributes:
        shown: The trials that have a mark.
        front: Numbers of those on the Pareto front of score and FLOPs.
        best: The best so far, after every trial that improved on it.
        found: Number of the one that the search handed over; None: it is not among them.
        every: How many trials there are.
    """

    shown: Sequence[TrialFacts]
    front: Sequence[int]
    best: Sequence[TrialFacts]
    found: int | None
    every: int

    @cached_property
    def lowest(self) -> float | None:
        """Where the axis of scores starts, if a few lie far below the others."""
        return fence(np.array([trial.score for trial in self.shown]))

    @property
    def below(self) -> int:
        """How many scores lie below the axis."""
        lowest = self.lowest
        return 0 if lowest is None else sum(trial.score < lowest for trial in self.shown)


def choose_marks(
    trials: Sequence[TrialFacts], found: TrialFacts | None, most: int = MOST
) -> Trials:
    """What charts show: everything, or what matters and an even choice of the others.

    Args:
        trials: All trials, one or more.
        found: The one that the search handed over.
        most: Marks of a chart, about.
    """
    front = [trials[place] for place in front_of(trials)]
    best: list[TrialFacts] = []
    for trial in trials:
        if not best or trial.score > best[-1].score:
            best.append(trial)
    must = {trial.number for trial in (*front, *best, *([found] if found else []))}
    step = max(1, -(-len(trials) // most))
    shown = [t for place, t in enumerate(trials) if place % step == 0 or t.number in must]
    return Trials(
        shown, [t.number for t in front], best, found.number if found else None, len(trials)
    )


def cost_chart(trials: Trials, score_name: str) -> str:
    """Score against FLOPs, with the Pareto front."""
    x = _scale([trial.flops for trial in trials.shown], LEFT, WIDTH - RIGHT)
    y = _score_scale(trials)
    by_number = {trial.number: trial for trial in trials.shown}
    front = sorted((by_number[n] for n in trials.front), key=lambda trial: trial.flops)
    line = _steps([(x(t.flops), y(t.score)) for t in front], WIDTH - RIGHT)
    marks = _marks(trials, lambda trial: x(trial.flops), y, "trial")
    return _chart(
        "Score against cost",
        f'<path class="front" d="{line}"/>{marks}',
        _x_axis(x, "FLOPs (multiply-adds for one image)", engineering),
        _y_axis(y, score_name),
    )


def time_chart(trials: Trials, score_name: str) -> str:
    """Score of every trial in the order of the search, and the best so far."""
    x = _scale([trial.number for trial in trials.shown], LEFT, WIDTH - RIGHT, whole=True)
    y = _score_scale(trials)
    line = _steps([(x(t.number), y(t.score)) for t in trials.best], x(trials.shown[-1].number))
    marks = _marks(trials, lambda trial: x(trial.number), y, "time")
    return _chart(
        "Score of every trial",
        f'<path class="best" d="{line}"/>{marks}',
        _x_axis(x, "trial", lambda value: f"{value:,.0f}"),
        _y_axis(y, score_name),
    )


def describe(trial: TrialFacts) -> str:
    """A trial in a line, as a screen reader says it."""
    return (
        f"trial {trial.number}: score {trial.score:.4g}, {trial.params:,} parameters, "
        f"{trial.flops:,} FLOPs"
    )


# -- pieces --------------------------------------------------------------------------------------


def _scale(values: Sequence[float], start: float, end: float, whole: bool = False) -> Scale:
    low, high = float(min(values)), float(max(values))
    if low == high:
        reach = abs(low) * 0.1 or 1.0
        low, high = low - reach, high + reach
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    ticks = MaxNLocator(nbins=5, integer=whole, min_n_ticks=1).tick_values(low, high)
    return Scale(low, high, start, end, [float(t) for t in ticks if low <= t <= high])


def _score_scale(trials: Trials) -> Scale:
    lowest = trials.lowest
    scores = [trial.score for trial in trials.shown]
    inside = [score for score in scores if lowest is None or score >= lowest]
    return _scale([*inside, *([] if lowest is None else [lowest])], HEIGHT - BOTTOM, TOP)


def _steps(points: Sequence[tuple[float, float]], end: float) -> str:
    """A line that keeps its height until the next point."""
    (x, y), *further = points
    parts = [f"M{x:.1f} {y:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" for x, y in further]
    return "".join([*parts, f"H{end:.1f}"])


def _marks(trials: Trials, place: Callable[[TrialFacts], float], y: Scale, prefix: str) -> str:
    """The marks, those that matter above the others; the first can be reached by Tab."""
    order = {None: -1, trials.found: 2} | dict.fromkeys(set(trials.front) - {trials.found}, 1)
    shown = sorted(trials.shown, key=lambda trial: order.get(trial.number, 0))
    parts = []
    for trial in shown:
        kind = {1: "m f", 2: "m found"}.get(order.get(trial.number, 0), "m")
        low = trials.lowest is not None and trial.score < trials.lowest
        across, down = place(trial), y.start if low else y(trial.score)
        tab = 0 if trial is shown[-1] else -1
        attributes = (
            f'id="{prefix}-{trial.number}" class="{kind}{" low" if low else ""}" role="button" '
            f'tabindex="{tab}" data-n="{trial.number}"'
        )
        title = f"<title>{escape(describe(trial))}</title>"
        if trial.number == trials.found or low:
            shape = STAR if trial.number == trials.found else "M-5-4H5L0 5Z"
            parts.append(
                f'<path {attributes} d="{shape}" transform="translate({across:.1f} {down:.1f})">'
                f"{title}</path>"
            )
        else:
            radius = 4.5 if kind != "m" else 3.5
            parts.append(
                f'<circle {attributes} cx="{across:.1f}" cy="{down:.1f}" r="{radius}">'
                f"{title}</circle>"
            )
    return "".join(parts)


def _chart(name: str, content: str, *axes: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" '
        f'aria-label="{escape(name)}">{"".join(axes)}{content}</svg>'
    )


def _x_axis(scale: Scale, name: str, text: Callable[[float], str]) -> str:
    bottom = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>']
    for tick in scale.ticks:
        place = scale(tick)
        parts.append(f'<path class="grid" d="M{place:.1f} {TOP}V{bottom}"/>')
        parts.append(
            f'<text x="{place:.1f}" y="{bottom + 18}" text-anchor="middle">{text(tick)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(name)}</text>')
    return f'<g aria-hidden="true">{"".join(parts)}</g>'


def _y_axis(scale: Scale, name: str) -> str:
    bottom = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}"/>']
    plain = [f"{tick:.6g}".partition(".")[2] for tick in scale.ticks]
    decimals = max((len(digits) for digits in plain if "e" not in digits), default=0)
    for tick in scale.ticks:
        place = scale(tick)
        shown = f"{tick:z.{decimals}f}".replace("-", "−")
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{shown}</text>')
    middle = (TOP + bottom) / 2
    lines = wrap_name(name).split("\n")[-2:]
    spans = "".join(
        f'<tspan x="0" dy="{0 if place == 0 else 14}">{escape(line)}</tspan>'
        for place, line in enumerate(lines)
    )
    across = 14 if len(lines) == 1 else 10
    parts.append(
        f'<text transform="translate({across} {middle}) rotate(-90)" text-anchor="middle">'
        f"{spans}</text>"
    )
    return f'<g aria-hidden="true">{"".join(parts)}</g>'
