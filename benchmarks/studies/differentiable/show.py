"""The study of differentiable strategies in tables and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.studies.cifar10 import COLUMNS
from benchmarks.studies.differentiable.arms import METHODS, SHOTS
from benchmarks.studies.jobs import Rows
from benchmarks.studies.plots import draw_baselines
from benchmarks.studies.tables import Table, spread, spread_text
from fewshot_core.report.canvas import BLUE, ORANGE, styled

LOOKS = dict(zip(SHOTS, ((BLUE, "o"), (ORANGE, "s"), ("#009E73", "D")), strict=True))


def summarise(
    rows: Rows, settings: Mapping[str, Any], baselines: Mapping[str, Any]
) -> dict[str, Any]:
    """Every arm's seeds, their mean and spread, beside what costs no training."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows.values():
        groups.setdefault((row["method"], row["shots"]), []).append(row)
    names = [method.name for method in METHODS]
    order = {
        (n, shots): (names.index(n), place) for n in names for place, shots in enumerate(SHOTS)
    }
    return {
        "settings": settings,
        "baselines": baselines,
        "arms": [_summarise_arm(groups[key]) for key in sorted(groups, key=order.__getitem__)],
    }


def _summarise_arm(group: list[Mapping[str, Any]]) -> dict[str, Any]:
    group = sorted(group, key=lambda row: row["seed"])
    found = [row["found"] for row in group]
    best = [[r["best"]["truth"] for r in row["regions"] if "best" in r] for row in group]
    return {
        "method": group[0]["method"],
        "shots": group[0]["shots"],
        "seeds": [row["seed"] for row in group],
        "truth": {column: [cell["truth"][column] for cell in found] for column in COLUMNS},
        # Of what the regions derived: a blind choice among them, and one by the truth.
        "regions_mean": {c: [_mean([t[c] for t in truths]) for truths in best] for c in COLUMNS},
        "regions_best": {c: [max(t[c] for t in truths) for truths in best] for c in COLUMNS},
        "regions": len(best[0]),
        "cells": [cell["cell"] for cell in found],
        **{name: [cell[name] for cell in found] for name in ("skips", "nones", "params")},
        **{name: [row[name] for row in group] for name in ("images", "training_seconds", "peak")},
    }


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


# -- tables ----------------------------------------------------------------------------------------

HEADER = (
    "method",
    "images",
    "seeds",
    "true accuracy",
    "CIFAR-100",
    "skips",
    "nones",
    "parameters, k",
    "likeliest option",
    "training, s",
)
CHOICE = ("method", "regions", "chosen by validation", "mean of the regions", "best of the regions")


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """What is derived, and the choice among what regions derived."""
    found = "what is derived; mean ± spread over seeds"
    chosen = "the choice among what the regions derived: true accuracy, mean ± spread over seeds"
    return [
        Table(found, HEADER, [*_lines(figures), *_baseline_lines(figures)]),
        Table(chosen, CHOICE, list(_choice_lines(figures))),
    ]


def _lines(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for arm in figures["arms"]:
        images = sum(arm["images"]) / len(arm["images"])
        peak, _ = spread(arm["peak"])
        yield [
            f"{arm['method']}, {arm['shots']}",
            f"{images:,.0f}",
            str(len(arm["seeds"])),
            *(spread_text(spread(arm["truth"][column]), 2) for column in COLUMNS),
            *(spread_text(spread(arm[name]), 1) for name in ("skips", "nones")),
            spread_text(spread(value / 1000 for value in arm["params"]), 1),
            "" if peak is None else f"{peak:.2f}",
            spread_text((spread(arm["training_seconds"])[0], None), 0),
        ]


def _baseline_lines(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    ten, hundred = (figures["baselines"][column] for column in COLUMNS)
    for name, value in ten.items():
        both = (value, hundred[name])
        texts = [spread_text(v, 2) if isinstance(v, Sequence) else f"{v:.2f}" for v in both]
        yield [name, "", "", *texts, *[""] * (len(HEADER) - 5)]


def _choice_lines(figures: Mapping[str, Any]) -> Iterator[list[str]]:
    for arm in figures["arms"]:
        if arm["regions"] > 1:
            kinds = ("truth", "regions_mean", "regions_best")
            texts = [spread_text(spread(arm[kind][COLUMNS[0]]), 2) for kind in kinds]
            yield [f"{arm['method']}, {arm['shots']}", str(arm["regions"]), *texts]


# -- plot ------------------------------------------------------------------------------------------


@styled
def draw_methods(figures: Mapping[str, Any]) -> Figure:
    """Draw true accuracy per method: dots are seeds, bars their means, lines baselines."""
    methods = [m.name for m in METHODS if any(a["method"] == m.name for a in figures["arms"])]
    figure = Figure((9.0, 4.2), layout="constrained", facecolor="white")
    panel: Axes = figure.subplots()
    handles: dict[str, Any] = {}
    for arm in figures["arms"]:
        place = list(SHOTS).index(arm["shots"])
        x = methods.index(arm["method"]) + 0.22 * (place - (len(SHOTS) - 1) / 2)
        values, (colour, marker) = arm["truth"][COLUMNS[0]], LOOKS[arm["shots"]]
        handles[arm["shots"]] = panel.scatter(
            [x] * len(values), values, s=26, c=colour, marker=marker, alpha=0.75, linewidths=0
        )
        mean = sum(values) / len(values)
        panel.plot([x - 0.08, x + 0.08], [mean, mean], color=colour, linewidth=1.8)
    baselines = figures["baselines"][COLUMNS[0]]
    lines = {
        "largest cell": baselines["largest cell"],
        "random cell, mean": baselines["random cell"][0],
        "skips alone": baselines["skips alone"],
    }
    draw_baselines(panel, lines, linestyle="--")
    panel.set_xticks(range(len(methods)), methods)
    panel.set_xlim(-0.5, len(methods) - 0.5 + 0.9)  # names of the lines stand on the right
    panel.set_ylabel("true accuracy of the derived cell, %")
    ordered = [shots for shots in SHOTS if shots in handles]
    figure.legend(
        [handles[s] for s in ordered], ordered, loc="outside lower center", ncols=len(SHOTS)
    )
    return figure
