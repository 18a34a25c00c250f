"""The study of spaces in figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.studies.jobs import Rows
from benchmarks.studies.spaces.arms import Place
from benchmarks.studies.tables import Table, spread, spread_text

SHOWN = (
    ("tau", "tau", 3),
    ("iso-cost tau", "iso_cost_tau", 3),
    ("upper half", "upper_tau", 3),
    ("tau of the trained", "tau_trained", 3),
    ("deployed", "best_true", 2),
    ("deployed, lower half", "best_true_half", 2),
)
"""Columns: title, figure, decimals."""


def summarise(rows: Rows, places: Mapping[str, Place]) -> dict[str, Any]:
    """Figures of every space: values of all seeds that are done."""
    found = {}
    for name, place in places.items():
        about = rows.get(f"{name} | costs")
        if about is None:
            continue
        arms = {}
        for arm in place.arms:
            done = [row for key, row in rows.items() if key.startswith(f"{name} | {arm} | seed")]
            if done:
                arms[arm] = {
                    "seeds": len(done),
                    "images": done[0]["images"],
                    "networks": done[0]["networks"],
                    "regions": done[0]["regions"],
                    "best_of_trained": [row["best_of_trained"] for row in done],
                    "scores": {
                        score: _join(row["figures"][score] for row in done)
                        for score in done[0]["figures"]
                    },
                }
        kept = {key: value for key, value in about.items() if key not in ("recipe", "seconds")}
        found[name] = {
            "epochs": place.epochs,
            "decision": place.decision,
            "trained": place.trained,
            **kept,
            "arms": arms,
        }
    return {"spaces": found}


def _join(figures: Iterable[Mapping[str, float | None]]) -> dict[str, list[float | None]]:
    """The values of all seeds, by figure."""
    every = list(figures)
    return {name: [found[name] for found in every] for name in every[0]}


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """One table for each space."""
    return [_make_table(name, space) for name, space in figures["spaces"].items()]


def _make_table(name: str, space: Mapping[str, Any]) -> Table:
    lines = []
    for arm, found in space["arms"].items():
        for score, values in found["scores"].items():
            title = f"{arm}, by {score}" if score != "score" else arm
            cells = [spread_text(spread(values[key]), digits) for _, key, digits in SHOWN]
            lines.append([f"{title} ({found['seeds']})", *(cell or "–" for cell in cells)])
    for cost, values in space["figures"].items():
        cells = [spread_text((values.get(key), None), digits) for _, key, digits in SHOWN]
        lines.append([cost, *(cell or "–" for cell in cells)])
    means = {"best_true": space["mean"], "best_true_half": space["mean_half"]}
    bests = {"best_true": space["best"], "best_true_half": space["best_half"]}
    for title, known in (("random network", means), ("best there is", bests)):
        cells = [f"{known[key]:.{digits}f}" if key in known else "–" for _, key, digits in SHOWN]
        lines.append([title, *cells])
    images = max((arm["images"] for arm in space["arms"].values()), default=0)
    header = ("scores (seeds)", *(title for title, _, _ in SHOWN))
    about = f"{name}: {space['networks']} networks, {images / 1e6:.2f} million images"
    return Table(about, header, lines)
