"""The study of whole searches in figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.studies.deployed.ways import WAYS
from benchmarks.studies.jobs import Rows
from benchmarks.studies.tables import Table, spread, spread_text

FREE = ("largest", "random")
"""What is known without a search: the largest network within a limit, and the mean of all."""


def summarise(rows: Rows, places: Iterable[str]) -> dict[str, Any]:
    """What every way hands over by limit and seed, and what needs no search."""
    found = {}
    for name in places:
        about = rows.get(f"{name} | table")
        if about is None:
            continue
        ways: dict[str, Any] = {}
        for way in WAYS:
            start = f"{name} | {way} | seed "
            done = {k.removeprefix(start): row for k, row in rows.items() if k.startswith(start)}
            if not done:
                continue
            ways[way] = {
                limit: {
                    seed: row["limits"][limit]
                    for seed, row in done.items()
                    if limit in row["limits"]
                }
                for limit in about["limits"]
            }
        found[name] = {"limits": about["limits"], "ways": ways}
    return found


def make_tables(figures: Mapping[str, Any]) -> list[Table]:
    """For each place and column: the regret under each limit, and its mean."""
    tables = []
    for name, place in figures.items():
        for column in next(iter(place["limits"].values()))["columns"]:
            tables.append(_make_table(name, column, place))
    return tables


def regrets(place: Mapping[str, Any], column: str, way: str) -> dict[str, dict[str, float]]:
    """Regret by limit and seed: the best of the table within the limit less what is handed over."""
    return {
        limit: {
            seed: place["limits"][limit]["columns"][column]["best"] - found["true"][column]
            for seed, found in of_seeds.items()
        }
        for limit, of_seeds in place["ways"][way].items()
    }


def mean_by_seed(found: Mapping[str, Mapping[str, float]], limits: Sequence[str]) -> list[float]:
    """The mean over the limits, of each seed that has them all."""
    seeds = [set(found.get(limit, {})) for limit in limits]
    every = sorted(set.intersection(*seeds)) if seeds else []
    return [float(np.mean([found[limit][seed] for limit in limits])) for seed in every]


def _make_table(name: str, column: str, place: Mapping[str, Any]) -> Table:
    limits = list(place["limits"])
    header = ("way (seeds)", *limits, "mean", "handed over without a limit")
    lines = []
    for way in place["ways"]:
        found = regrets(place, column, way)
        seeds = max(len(of_limit) for of_limit in found.values())
        free = [row["true"][column] for row in place["ways"][way][limits[-1]].values()]
        lines.append(
            [
                f"{way} ({seeds})",
                *(_text(found.get(limit, {}).values()) for limit in limits),
                _text(mean_by_seed(found, limits)),
                _text(free),
            ]
        )
    for title in FREE:
        of = [place["limits"][limit]["columns"][column] for limit in limits]
        costs = [about["best"] - about[title] for about in of]
        mean = float(np.mean(costs))
        lines.append([title, *(f"{v:.2f}" for v in (*costs, mean, of[-1][title]))])
    return Table(f"{name}, {column}: regret, in points", header, lines)


def _text(values: Iterable[float]) -> str:
    return spread_text(spread(values), 2) or "–"
