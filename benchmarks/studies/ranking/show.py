"""The ranking study in tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.studies.cifar10 import COLUMNS
from benchmarks.studies.jobs import Rows
from benchmarks.studies.ranking.arms import ARMS, FIGURES, PROXIES, Arm
from benchmarks.studies.tables import Table, spread, spread_text

SCORE = "recalibrated, loss"
"""The score that arms are compared by; the others stand beside it."""

ENSEMBLE = "ensemble, loss"

CHOSEN_BY = "iso_cost_tau"


def summarise(
    rows: Rows, settings: Mapping[str, Any], baselines: Mapping[str, Any]
) -> dict[str, Any]:
    """Mean and spread over seeds of every arm at every budget, beside settings and baselines."""
    arms = [_summarise_group(group) for _, group in _groups(rows)]
    return {"settings": settings, "baselines": baselines, "arms": arms}


def best_arm(rows: Rows, *, few: bool) -> Arm | None:
    """The arm of one kind with the best mean at the largest budget that all arms have done.

    The mean is over the seeds that all of them have done there.
    """
    done: dict[float, dict[str, dict[int, float]]] = {}
    for row in rows.values():
        if row["epochs"] and row["cells"] == min(r["cells"] for r in rows.values()):
            figure = row["figures"][COLUMNS[0]][SCORE][CHOSEN_BY]
            value = -1.0 if figure is None else figure
            done.setdefault(row["epochs"], {}).setdefault(row["arm"], {})[row["seed"]] = value
    common = {
        epochs: set.intersection(*(set(arms[arm.name]) for arm in ARMS))
        for epochs, arms in done.items()
        if len(arms) == len(ARMS)
    }
    whole = [epochs for epochs, seeds in common.items() if seeds]
    if not whole:
        return None
    figures, seeds = done[max(whole)], common[max(whole)]
    kind = [arm for arm in ARMS if bool(arm.regions) == few]
    return max(kind, key=lambda arm: statistics.fmean(figures[arm.name][s] for s in seeds))


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """Two tables for every set of cells."""
    tables = []
    for size, baseline in figures["baselines"].items():
        arms = [arm for arm in figures["arms"] if str(arm["cells"]) == size]
        title = f"{size} cells; by recalibrated loss; mean ± spread over seeds"
        tables.append(Table(title, HEADER, list(_lines(arms, baseline))))
        title = f"{size} cells; iso-cost tau by the way a score is measured"
        tables.append(Table(title, KINDS_HEADER, list(_kind_lines(arms))))
    return tables


SHOWN = (
    ("iso-cost tau", COLUMNS[0], SCORE, "iso_cost_tau", 3),
    ("tau", COLUMNS[0], SCORE, "tau", 3),
    ("true accuracy of best", COLUMNS[0], SCORE, "best_true", 2),
    ("ensemble tau", COLUMNS[0], ENSEMBLE, "tau", 3),
    ("ensemble best", COLUMNS[0], ENSEMBLE, "best_true", 2),
    ("cifar100: iso-cost", COLUMNS[1], SCORE, "iso_cost_tau", 3),
    ("ensemble tau", COLUMNS[1], ENSEMBLE, "tau", 3),
)
"""Title, column, kind of score, figure and digits."""

HEADER = ("predictor", "images, M", "seeds", *(title for title, *_ in SHOWN))


KINDS = ("recalibrated, loss", "recalibrated, accuracy", "running, loss", "running, accuracy")
KINDS_HEADER = ("arm", "images, M", *KINDS)


def _kind_lines(arms: list[dict[str, Any]]) -> Iterator[list[str]]:
    for arm in arms:
        if arm["images"]:
            figures = arm["figures"][COLUMNS[0]]
            values = [
                spread_text(figures[kind][CHOSEN_BY], 3) if kind in figures else ""
                for kind in KINDS
            ]
            yield [arm["arm"], f"{arm['images'] / 1e6:.2f}", *values]


def _lines(arms: list[dict[str, Any]], baseline: Mapping[str, Any]) -> Iterator[list[str]]:
    for arm in arms:
        # Proxies have one score, and no ensemble.
        kinds = {SCORE: "score", ENSEMBLE: ""} if arm["arm"] in PROXIES else {}
        yield [
            arm["arm"],
            f"{arm['images'] / 1e6:.2f}" if arm["images"] else "",
            str(arm["seeds"]),
            *(
                spread_text(arm["figures"][column][which][name], digits) if which else ""
                for _, column, kind, name, digits in SHOWN
                for which in [kinds.get(kind, kind)]
            ),
        ]
    for predictor in baseline[COLUMNS[0]]:
        figures = {column: baseline[column][predictor] for column in COLUMNS}
        texts = (
            f"{figures[column][name]:.{digits}f}" if kind == SCORE else ""
            for _, column, kind, name, digits in SHOWN
        )
        yield [predictor, "", "", *texts]


def _groups(rows: Rows) -> list[tuple[Any, list[Mapping[str, Any]]]]:
    order = {name: place for place, name in enumerate([*(arm.name for arm in ARMS), *PROXIES])}
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows.values():
        groups.setdefault((row["cells"], row["epochs"], row["arm"]), []).append(row)
    return sorted(groups.items(), key=lambda g: (g[0][0], g[0][1], order[g[0][2]]))


def _summarise_group(group: list[Mapping[str, Any]]) -> dict[str, Any]:
    first = group[0]
    figures = {
        column: {
            kind: {
                name: spread([row["figures"][column][kind][name] for row in group])
                for name in FIGURES
            }
            for kind in first["figures"][column]
        }
        for column in COLUMNS
    }
    return {
        "arm": first["arm"],
        "epochs": first["epochs"],
        "images": round(statistics.fmean(row["images"] for row in group)),
        "cells": first["cells"],
        "seeds": len(group),
        "seconds": round(statistics.fmean(row["seconds"] for row in group)),
        "figures": figures,
    }
