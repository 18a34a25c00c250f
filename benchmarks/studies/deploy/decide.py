"""What each way to spend a budget hands over, from the rows of curves and scores."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.deploy.decisions import (
    Drawn,
    Ladder,
    Largest,
    Pool,
    Score,
    Scored,
    Way,
    choose_all,
)
from benchmarks.studies.deploy.places import Place, curves_of, read_once
from benchmarks.studies.deploy.searched import Searched
from benchmarks.studies.jobs import Job, Rows, make_slug
from fewshot_core.costs.table import CostTable
from fewshot_core.spaces.space import Architecture

BUDGETS = (300_000, 1_000_000, 3_000_000, 10_000_000)
"""Training images that a way may spend, supernets included."""

REACH = 60
"""Trainings of the longest measured length that a budget may pay for: a larger one would go into
longer trainings, which are not measured."""

SEEDS = 100
"""Searches of each way, which differ in what is drawn."""

WAYS: dict[str, Way] = {
    "largest": Largest(),
    "random": Drawn(),
    "NASWOT": Scored("NASWOT"),
    "one-shot": Scored("one-shot"),
    "few-shot": Scored("few-shot"),
    "short trainings, random": Searched("random"),
    "short trainings, REA": Searched("rea"),
    "short trainings, TPE": Searched("tpe"),
    "ladder, random, by accuracy": Ladder("random", "accuracy"),
    "ladder, random": Ladder("random"),
    "ladder, expensive fifth, by accuracy": Ladder("expensive", "accuracy"),
    "ladder, expensive fifth": Ladder("expensive"),
    "ladder, largest, by accuracy": Ladder("largest", "accuracy"),
    "ladder, largest": Ladder("largest"),
    "ladder, random, prior": Ladder("random", prior=0.5),
    "ladder, expensive fifth, prior": Ladder("expensive", prior=0.5),
    "ladder, largest, prior": Ladder("largest", prior=0.5),
    "ladder, NASWOT": Ladder("NASWOT"),
    "ladder, NASWOT, prior": Ladder("NASWOT", prior=0.5),
    "ladder, one-shot": Ladder("one-shot"),
    "ladder, few-shot": Ladder("few-shot"),
    "ladder, largest, proposals": Ladder("largest", proposals=0.25),
    "ladder, expensive fifth, proposals": Ladder("expensive", proposals=0.25),
}

BASELINE = "ladder, random, by accuracy"
"""What a user has without this project: short trainings and successive halving."""


def make_pool(
    name: str,
    place: Place,
    column: str,
    rows: Rows,
    costs: CostTable,
    data: Path,
    wanted: Mapping[int, int],
) -> Pool:
    """The networks of a place that were trained, with what was measured of them.

    Args:
        name: Name of the place in the rows.
        place: The place.
        column: Its column of true values.
        rows: Rows of curves and scores.
        costs: Costs of its networks.
        data: Folder of the tables.
        wanted: How many networks are to be trained for each length. One that fewer were trained for
            is left out: what has been trained first would be preferred.
    """
    curves = {
        (length, seed): known
        for (length, seed), known in curves_of(name, rows).items()
        if seed or len(known) >= wanted[length]
    }
    shortest = min(length for length, seed in curves if seed == 0)
    known = read_once(place, column, data)
    architectures = [a for a in known if a.id in curves[shortest, 0]]
    limited = read_once(place, place.limited, data) if place.limited else {}

    def price(architecture: Architecture) -> float:
        return limited[architecture] if limited else costs.costs(architecture)[place.cost]

    def column_of(values: Mapping[str, float]) -> Any:
        return np.array([values.get(a.id, math.nan) for a in architectures])

    prices = np.array([price(a) for a in architectures])
    scores: dict[str, list[Score]] = {"largest": [Score(prices, 0)]}
    for key, row in rows.items():
        if key.startswith(f"{name} | score | "):
            score = Score(column_of(row["scores"]), row["images"])
            scores.setdefault(key.split(" | ")[2], []).append(score)
    return Pool(
        costs.space,
        architectures,
        np.array([known[a] for a in architectures]),
        prices,
        {
            judge: {
                length: column_of({name: sign * v[at] for name, v in of_networks.items()})
                for (length, seed), of_networks in sorted(curves.items())
                if seed == 0
            }
            for judge, at, sign in (("accuracy", 0, 1.0), ("loss", 1, -1.0))
        },
        scores,
    )


def find_limits(place: Place, pool: Pool) -> dict[str, float]:
    """Limits on costs by what they are called; the last is none. Some network meets each."""
    if place.limits:
        named = {f"{limit / 1e6:g}M": limit for limit in place.limits}
    else:
        named = {f"{q}%": float(np.quantile(pool.costs, q / 100)) for q in (20, 40, 60, 80)}
    cheapest = pool.costs.min()
    return {title: v for title, v in named.items() if v >= cheapest} | {"none": math.inf}


def decision_jobs(name: str, place: Place, pools: Mapping[str, Pool], seeds: int) -> list[Job]:
    """A job for each way and budget; a row is out of date when anything it rests on is measured.

    Args:
        name: Name of the place.
        place: The place.
        pools: Its networks by the column of true values.
        seeds: Searches of each way.
    """
    jobs = []
    for column, pool in pools.items():
        for way in WAYS:
            score = getattr(WAYS[way], "begin", getattr(WAYS[way], "score", None))
            if score not in (None, "random", "expensive", *pool.scores):
                continue
            reach = REACH * max(length for of in pool.curves.values() for length in of)
            for budget in (budget for budget in BUDGETS if budget <= reach):
                key = f"{name} | decision | {column} | {way} | {budget} images"
                recipe = [f"seeds={seeds}", f"pool={_digest(pool, score)}", f"way={WAYS[way]}"]
                measure = partial(decide, place, pool, WAYS[way], budget, seeds)
                jobs.append(Job(key, make_slug(name, column, way, budget), recipe, measure))
    return jobs


def decide(place: Place, pool: Pool, way: Way, budget: int, seeds: int) -> dict[str, Any]:
    """Mean regret and truth under each limit, and the mean regret of each seed over the limits."""
    limits: dict[str, list[float]] = {}
    of_seeds = []
    bounds = find_limits(place, pool)
    for title, limit in bounds.items():
        chosen = choose_all(pool, way, budget, limit, seeds)
        if chosen is None:
            continue
        found = pool.best(limit) - pool.truth[chosen]
        limits[title] = [round(float(found.mean()), 4), round(float(pool.truth[chosen].mean()), 3)]
        of_seeds.append(found)
    every = len(of_seeds) == len(bounds)
    means = np.mean(of_seeds, axis=0) if every else np.array([])
    return {"limits": limits, "seeds": [round(float(v), 4) for v in means]}


def summarise_decisions(name: str, rows: Rows, columns: Sequence[str]) -> dict[str, Any]:
    """What the ways of a place came to, by column, budget and way."""
    found: dict[str, Any] = {}
    for column in columns:
        for budget in BUDGETS:
            keys = {way: f"{name} | decision | {column} | {way} | {budget} images" for way in WAYS}
            done = {way: rows[key] for way, key in keys.items() if key in rows}
            base = done.get(BASELINE, {}).get("seeds") or None
            for way, row in done.items():
                entry: dict[str, Any] = {"limits": row["limits"]}
                if row["seeds"]:
                    entry["regret"] = round(float(np.mean(row["seeds"])), 3)
                    if base and way != BASELINE:
                        entry["less_than_baseline"] = paired(base, row["seeds"])
                found.setdefault(column, {}).setdefault(str(budget), {})[way] = entry
    return found


def paired(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """Mean of the differences of two ways, and the bounds of its 95 % interval."""
    differences = np.array(one) - np.array(other)
    half = 1.96 * differences.std(ddof=1) / math.sqrt(len(differences))
    mean = differences.mean()
    return [round(float(v), 3) for v in (mean, mean - half, mean + half)]


def _digest(pool: Pool, score: str | None) -> str:
    """What a way looks at, in eight letters."""
    seen: list[Any] = [pool.truth.tolist(), pool.costs.tolist()]
    for curves in pool.curves.values():
        seen += [[length, values.tolist()] for length, values in curves.items()]
    seen += [[s.images, s.values.tolist()] for s in pool.scores.get(score or "", ())]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:8]
