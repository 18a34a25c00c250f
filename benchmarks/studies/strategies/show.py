"""The study of strategies in figures, tables and a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import mannwhitneyu

from benchmarks.studies.jobs import Rows
from benchmarks.studies.strategies.table import METHODS, GuidedTable, points_of
from benchmarks.studies.tables import Table
from fewshot_core.report.canvas import INK, styled

FIGURES = ("oracle", "deployed")
LEARNING = ("rea", "tpe", "bohb", "smac")
"""Methods that have to beat random search where the truth guides them."""

FIRST = 5
"""Where the plot begins."""

LOOKS = {
    "random": (INK, "--"),
    "hyperband": ("#9aa3ab", "--"),
    "rea": ("#0072B2", "-"),
    "reinforce": ("#E69F00", "-"),
    "lanas": ("#56B4E9", "-"),
    "tpe": ("#009E73", "-"),
    "bohb": ("#CC79A7", "-"),
    "smac": ("#D55E00", "-"),
}


def summarise(rows: Rows, table: GuidedTable, evaluations: int) -> dict[str, Any]:
    """Quartiles over seeds of both figures, per guide and method, and who is broken.

    Args:
        rows: A row for each guide and method, as in the order of the tables.
        table: What was searched.
        evaluations: Trials of each search.
    """
    guides: dict[str, Any] = {}
    broken = []
    last = {
        (row["guide"], row["method"], name): [run[name][-1] for run in row["runs"]]
        for row in rows.values()
        for name in FIGURES
    }
    for found in rows.values():
        guide, method, runs = found["guide"], found["method"], found["runs"]
        row: dict[str, Any] = {
            "distinct": statistics.median(run["distinct"] for run in runs),
            "seconds": round(statistics.fmean(run["seconds"] for run in runs), 3),
        }
        firsts = [run["first"] for run in runs if "first" in run]  # earlier results have none
        if firsts:
            row["first"] = [float(q) for q in np.quantile(firsts, (0.25, 0.5, 0.75))]
        for name in FIGURES:
            row[name] = _summarise_curves([run[name] for run in runs], bands=method == "random")
            if method != "random" and (guide, "random", name) in last:
                row[name] |= _compare(last[guide, method, name], last[guide, "random", name])
        guides.setdefault(guide, {"methods": {}})["methods"][method] = row
        leads = row["oracle"].get("lead_over_random", 1.0)
        if table.guides[guide] is table.truth and method in LEARNING and leads <= 0:
            broken.append(method)
    for guide in guides:
        guides[guide]["truth_of_its_best"] = _truth_of_best(table, guide)
    return {
        "evaluations": evaluations,
        "seeds": len(next(iter(rows.values()))["runs"]),
        "cells": len(table.truth),
        "best_truth": max(table.truth.values()),
        "mean_truth": round(statistics.fmean(table.truth.values()), 4),
        "at": points_of(evaluations),
        "guides": guides,
        "broken": sorted(broken),
    }


def _summarise_curves(curves: Sequence[Sequence[float]], bands: bool) -> dict[str, Any]:
    """The median after some of the trials, and the quartiles at the end, or all along."""
    quartiles = np.quantile(np.array(curves), (0.25, 0.5, 0.75), axis=0).round(3)
    low, median, high = ([float(value) for value in row] for row in quartiles)
    figure: dict[str, Any] = {"end": [low[-1], median[-1], high[-1]], "median": median}
    return figure | ({"low": low, "high": high} if bands else {})


def _compare(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The lead in the median, and how often chance alone would separate the two so far."""
    return {
        "lead_over_random": round(statistics.median(ours) - statistics.median(theirs), 4),
        "p": float(f"{mannwhitneyu(ours, theirs).pvalue:.2g}"),
    }


def _truth_of_best(table: GuidedTable, guide: str) -> list[float]:
    """Lowest, mean and highest truth of the cells with the best score: equal networks share one."""
    values = table.guides[guide]
    best = max(values.values())
    truths = [table.truth[a] for a, value in values.items() if value == best]
    return [round(v, 3) for v in (min(truths), statistics.fmean(truths), max(truths))]


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """A table for each guide, for the terminal."""
    header = ("strategy", *FIGURES, "trials to the best 0.1 %", "different", "s a search")
    tables = []
    for guide, found in figures["guides"].items():
        lines = [
            [
                method,
                *(_spread_text(row[name]) for name in FIGURES),
                _first_text(row.get("first"), figures["evaluations"]),
                f"{row['distinct']:.0f}",
                f"{row['seconds']:.2f}",
            ]
            for method, row in found["methods"].items()
        ]
        title = f"guided by {guide}, whose best cell has {_best_text(found)}"
        tables.append(Table(title, header, lines))
    return tables


def make_docs_tables(figures: Mapping[str, Any]) -> list[Table]:
    """A table for each figure, a column for each guide, for the docs."""
    guides = figures["guides"]
    methods = list(next(iter(guides.values()))["methods"])
    tables = []
    for name in FIGURES:
        lines = [
            [method, *(_spread_text(found["methods"][method][name]) for found in guides.values())]
            for method in methods
        ]
        if name == "deployed":
            lines.append(["the best cell by this guide", *map(_best_text, guides.values())])
        tables.append(Table(name, (name, *guides), lines))
    firsts = [
        [
            m,
            *(
                _first_text(g["methods"][m].get("first"), figures["evaluations"])
                for g in guides.values()
            ),
        ]
        for m in methods
    ]
    if any(cell != "-" for line in firsts for cell in line[1:]):
        tables.append(Table("first", ("trials to the best 0.1 %", *guides), firsts))
    return tables


def _first_text(quartiles: Sequence[float] | None, evaluations: int) -> str:
    """Quartiles of a number of trials; more than all means that it was not met."""
    if quartiles is None:
        return "-"
    low, median, high = (f"{q:.0f}" if q <= evaluations else f"> {evaluations}" for q in quartiles)
    return f"{median} ({low} to {high})"


def _spread_text(figure: Mapping[str, Any]) -> str:
    low, median, high = figure["end"]
    return f"{median:.2f} ({low:.2f} to {high:.2f})"


def _best_text(found: Mapping[str, Any]) -> str:
    low, mean, high = found["truth_of_its_best"]
    return f"{mean:.2f}" if low == high else f"{mean:.2f} ({low:.2f} to {high:.2f})"


@styled
def draw_curves(figures: Mapping[str, Any]) -> Figure:
    """Draw median truth against the number of evaluations: a column a guide, a row a figure."""
    guides = list(figures["guides"])
    figure = Figure((2.9 * len(guides) + 0.9, 6.2), layout="constrained", facecolor="white")
    panels = figure.subplots(2, len(guides), sharex=True, sharey=True, squeeze=False)
    top = figures["best_truth"]
    lines: dict[str, Any] = {}
    for column, guide in enumerate(guides):
        found = figures["guides"][guide]
        for panel, name in zip(panels[:, column], FIGURES, strict=True):
            lines = _draw_methods(panel, found["methods"], name, figures["at"])
            panel.axhline(top, color=INK, linewidth=0.7, alpha=0.6)
        _draw_best(panels[1, column], found["truth_of_its_best"])
        panels[0, column].set_title(f"guided by {guide}", loc="left")
        panels[1, column].set_xlabel("evaluations")
    panels[0, 0].set(
        xscale="log", xlim=(FIRST, figures["evaluations"]), ylim=(_floor(figures), top + 0.12)
    )
    ticks = [t for t in (5, 10, 30, 100, 300, 1000, 3000) if t <= figures["evaluations"]]
    panels[0, 0].set_xticks(ticks, [str(tick) for tick in ticks])
    panels[0, 0].minorticks_off()
    panels[0, 0].set_ylabel("oracle: best truth seen (%)")
    panels[1, 0].set_ylabel("deployed: truth of best score (%)")
    labels = [f"{m}, with quartiles" if m == "random" else m for m in lines]
    figure.legend(list(lines.values()), labels, loc="outside lower center", ncols=len(lines))
    return figure


def _draw_methods(
    panel: Axes, methods: Mapping[str, Any], name: str, at: Sequence[int]
) -> dict[str, Any]:
    lines: dict[str, Any] = {}
    for method in (m for m in METHODS if m in methods):
        curve, (colour, dash) = methods[method][name], LOOKS[method]
        (lines[method],) = panel.plot(
            at, curve["median"], color=colour, linestyle=dash, linewidth=1.6
        )
        if "low" in curve:
            panel.fill_between(at, curve["low"], curve["high"], color=INK, alpha=0.08, linewidth=0)
    return lines


def _draw_best(panel: Axes, truths: Sequence[float]) -> None:
    """Draw what a search that exhausts the guide deploys; equal networks have several truths."""
    low, mean, high = truths
    panel.axhspan(low, high, color=INK, alpha=0.12, linewidth=0)
    panel.axhline(mean, color=INK, linewidth=0.9, linestyle=":")
    panel.annotate(
        "the guide's best",
        (0, high),
        xycoords=("axes fraction", "data"),
        xytext=(3, 2),
        textcoords="offset points",
        fontsize=8,
    )


def _floor(figures: Mapping[str, Any]) -> float:
    """Where the vertical axis starts: below what is deployed after the first trials drawn."""
    place = next(i for i, point in enumerate(figures["at"]) if point >= FIRST)
    starts = [
        row[name]["median"][place]
        for guide in figures["guides"].values()
        for row in guide["methods"].values()
        for name in FIGURES
    ]
    return float(np.floor(2 * min(starts)) / 2)
