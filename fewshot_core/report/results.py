"""Results of trainings from scratch, as a table: a row for each label, with the spread of seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fewshot_core.recipe.places import is_local_model
from fewshot_core.recipe.stock_names import PRETRAINED, stock_name
from fewshot_core.runs.console import FittedTable
from fewshot_core.runs.retrained import (
    TRIAL,
    base_label,
    how_trained,
    in_folder,
    settings_of_label,
    starts_of,
    without_places,
)

LABELS = {
    "found": "found by the search",
    "random": "random architecture",
    "largest": "most parameters",
    "most-flops": "most FLOPs",
    "one-shot": "choice of the one-shot supernet",
    "given": "given by hand",
    "earlier": "found before the search went on",
}
"""How the labels of retrained architectures read."""


def label_text(label: str) -> str:
    """A label for people: ``found by the search, retrain.epochs=40``."""
    stock = stock_name(base_label(label))
    label = without_places(label)
    settings = settings_of_label(label)
    if stock is not None:
        text = _stock_text(*stock)
        return f"{text}, {settings}" if settings else text
    kind, _, number = base_label(label).partition(" ")
    text = LABELS.get(kind, kind) + (f", {number}" if number else "")
    if kind == TRIAL:
        text = f"trial {number} of the search"
    return f"{text}, {settings}" if settings else text


def _stock_text(name: str, start: str) -> str:
    if is_local_model(name):
        how = "with its weights" if start == PRETRAINED else "from scratch"
        return f"model {in_folder(name)}, {how}"
    how = "from published weights" if start == PRETRAINED else "from scratch"
    return f"stock model {name}, {how}"


def results_table(
    results: Sequence[Mapping[str, Any]], metric: str, metric_text: str = ""
) -> FittedTable:
    """Mean and spread over the seeds, a row per label; ``metric_text`` is the metric in words."""
    trained = how_trained(starts_of(results)).capitalize()
    rows = [
        [
            label_text(row["label"]),
            format_spread(row["values"]),
            str(len(row["values"])),
            f"{row['params']:,}",
            f"{row['flops']:,}",
            row["genotype"],
        ]
        for row in summarise(results, metric)
    ]
    header = (
        "architecture",
        f"test {metric_text or metric}",
        "seeds",
        "parameters",
        "FLOPs",
        "genotype",
    )
    return FittedTable(f"{trained}, then measured on the test images", header, rows)


def summarise(results: Sequence[Mapping[str, Any]], metric: str) -> list[dict[str, Any]]:
    """One row per label: test values of all seeds; costs and genotype where they agree."""
    rows: dict[str, dict[str, Any]] = {}
    for result in results:
        row = rows.setdefault(
            result["label"], {"label": result["label"], "values": [], "ids": set(), **result}
        )
        row["values"].append(result["test"][metric])
        row["ids"].add(result["id"])
    for row in rows.values():
        if len(row["ids"]) > 1:
            row["genotype"] = f"{len(row['ids'])} architectures"
            same = [r for r in results if r["label"] == row["label"]]
            row["params"] = round(statistics.mean(r["params"] for r in same))
            row["flops"] = round(statistics.mean(r["flops"] for r in same))
    return list(rows.values())


def format_spread(values: list[float]) -> str:
    """``97.50 ± 0.31``, or the value alone."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
