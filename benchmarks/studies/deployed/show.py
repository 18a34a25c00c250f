"""The study of whole searches in figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.studies.deployed.ways import RULE, WAYS
from benchmarks.studies.jobs import Rows
from benchmarks.studies.tables import Table, spread, spread_text
from fewshot_core.trust.paired import compare_paired

FREE = ("largest", "random")
"""What is known without a search: the largest network within a limit, and the mean of all."""


def summarise(rows: Rows) -> dict[str, Any]:
    """What every way hands over by limit and seed, and what needs no search."""
    found = {}
    for key, about in rows.items():
        name, _, what = key.partition(" | ")
        if what != "table":
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


def mean_by_seed(
    found: Mapping[str, Mapping[str, float]], limits: Sequence[str]
) -> dict[int, float]:
    """The mean over the limits, of each seed that has them all."""
    seeds = [set(found.get(limit, {})) for limit in limits]
    every = sorted(set.intersection(*seeds)) if seeds else []
    return {int(s): float(np.mean([found[limit][s] for limit in limits])) for s in every}


def _make_table(name: str, column: str, place: Mapping[str, Any]) -> Table:
    limits = list(place["limits"])
    header = ("way (seeds)", *limits, "mean", "more than the rule", "handed over without a limit")
    rule: dict[int, float] = {}
    if RULE in place["ways"]:
        rule = mean_by_seed(regrets(place, column, RULE), limits)
    lines = []
    for way in place["ways"]:
        found = regrets(place, column, way)
        seeds = max(len(of_limit) for of_limit in found.values())
        free = [row["true"][column] for row in place["ways"][way][limits[-1]].values()]
        means = mean_by_seed(found, limits)
        lines.append(
            [
                f"{way} ({seeds})",
                *(_text(found.get(limit, {}).values()) for limit in limits),
                _text(means.values()),
                "–" if way == RULE else _more(rule, means),
                _text(free),
            ]
        )
    for title in FREE:
        of = [place["limits"][limit]["columns"][column] for limit in limits]
        costs = [about["best"] - about[title] for about in of]
        mean = float(np.mean(costs))
        more = _more(rule, dict.fromkeys(rule, mean))
        lines.append([title, *(f"{v:.2f}" for v in (*costs, mean)), more, f"{of[-1][title]:.2f}"])
    return Table(f"{name}, {column}: regret, in points", header, lines)


def _more(rule: Mapping[int, float], means: Mapping[int, float]) -> str:
    """By how much more than the rule a way loses, seed by seed, with its 95 % interval."""
    found = compare_paired(rule, means)
    if not found.seeds:
        return "–"
    return f"{found.mean:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if found.tested else "")


def _text(values: Iterable[float]) -> str:
    return spread_text(spread(values), 2) or "–"
