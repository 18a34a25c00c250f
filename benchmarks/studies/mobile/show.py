"""The mobile study in a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.studies.jobs import Rows
from benchmarks.studies.mobile.arms import Size
from benchmarks.studies.tables import Table, spread, spread_text
from fewshot_core.trust.ranking import bootstrap_tau, kendall

HEADER = ("band, MFLOPs", "predictor", "tau", "intervals of tau", "accuracy of its best")


def summarise(rows: Rows, size: Size) -> dict[str, Any]:
    """Figures of every band whose networks are all trained; missing arms are left out."""
    bands = {}
    for band, flops in enumerate(size.bands):
        keys = [f"truth | {band} | {number}" for number in range(size.networks)]
        if not all(key in rows for key in keys):
            continue
        truth = [rows[key]["accuracy"] for key in keys]
        predictors = {
            arm: [
                _figures(rows[key]["scores"]["loss"][band], truth)
                for seed in range(size.seeds)
                if (key := f"{arm} | seed {seed}") in rows
            ]
            for arm in size.arms()
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


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """A line for each predictor in each band."""
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
    return [Table("networks of equal FLOPs", HEADER, lines)]
