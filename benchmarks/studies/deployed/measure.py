"""What whole searches hand over, by a table of true values."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.studies.cifar10 import costs_of, places_of, read_networks
from benchmarks.studies.deployed.show import make_tables, summarise
from benchmarks.studies.deployed.ways import COST, FULL, PLACES, QUICK, WAYS, Place
from benchmarks.studies.jobs import Job, Rows, make_slug
from benchmarks.studies.record import ROOT
from benchmarks.studies.study import Study
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report.results_of_run import read_result
from fewshot_core.runs.files import read_json
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.tasks import load_task

VALIDATION = 0.1
"""Share of the training images that the recipes hold out."""


class Shared(NamedTuple):
    """Searches whose supernets others score with.

    Attributes:
        folder: Their run folders, one for each limit.
        words: Their settings.
    """

    folder: Path
    words: Sequence[str]


class Deployed(Study):
    """Whole searches under limits, at equal images."""

    needs = "cifar10"
    module = "benchmarks.studies.deployed"
    folder = "runs/deployed"
    stages = tuple(PLACES)
    name = "deployed"
    tables = staticmethod(make_tables)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--ways", nargs="+", choices=[*WAYS], help="by default all")
        parser.add_argument("--images", type=int, metavar="N", help="by default 300,000")

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        size = QUICK if options.quick else FULL
        size = replace(size, images=options.images or size.images)
        self.size = replace(size, ways=tuple(options.ways)) if options.ways else size
        # Rows of the usual number are called by their place alone.
        self.budget = f", {options.images:,} images" if options.images else ""
        self.seeds, self.data, self.work = self.size.seeds, options.data, work

    def jobs(self, stage: str, rows: Rows) -> Sequence[Job]:
        place, jobs, name = PLACES[stage], [], f"{stage}{self.budget}"
        if self.data.exists() and not (self.data / place.table).exists():
            print(f"stage {stage}: {self.data} holds no {place.table}")
            return []
        about = partial(describe, place, self.data)
        jobs.append(Job(f"{name} | table", make_slug(name, "table"), [*place.words], about))
        limits = find_limits(place, self.data)
        chosen = {q: limits[q] for q in self.size.quantiles or place.quantiles}
        for seed in range(self.seeds):
            for way in self.size.ways:
                if way in place.left_out:
                    continue
                words = self._words(place, way, seed)
                key, slug = f"{name} | {way} | seed {seed}", make_slug(name, way, seed)
                owner = WAYS[way].supernets
                shared = None
                if owner is not None:
                    there = self.work / make_slug(name, owner, seed)
                    shared = Shared(there, self._words(place, owner, seed))
                folder = self.work / slug
                measure = partial(self._search_all, place, words, chosen, folder, shared)
                bounds = f"{place.limit}={','.join(map(_bound, chosen.values()))}"
                jobs.append(Job(key, slug, [*words, bounds], measure))
        return jobs

    def summarise(self, rows: Rows) -> dict[str, Any]:
        return summarise(rows)

    def _words(self, place: Place, name: str, seed: int) -> list[str]:
        """The settings of a search; of those given twice the last counts."""
        way = WAYS[name]
        epochs = self.size.images / self.size.limit / (1 - VALIDATION)
        spent = (f"{setting}={epochs * share:.2f}" for setting, share in way.spends.items())
        every = [*place.words, *way.words, *spent, f"seed={seed}"]
        named = dict(word.split("=", 1) for word in (*every, *self.size.words))
        if named.get("evaluator") != "ensemble":  # the sizes have it for all ways
            named.pop("evaluator.samples", None)
        return [f"{key}={value.replace(COST, place.cost)}" for key, value in named.items()]

    def _search_all(
        self,
        place: Place,
        words: Sequence[str],
        limits: Mapping[float, float | None],
        folder: Path,
        shared: Shared | None,
    ) -> dict[str, Any]:
        """Search under one limit after the other; supernets are trained for the first alone."""
        found: dict[str, Any] = {}
        first: Path | None = None
        for quantile, limit in limits.items():
            run = folder / make_slug(quantile)
            bound = [f"{place.limit}={_bound(limit)}", f"run={run}"]
            images = ["data.source=images", *places_of(self.data)]
            if shared is not None and first is None:
                first = shared.folder / make_slug(quantile)
                there = f"run={first}"
                self._search([*shared.words, *images, bound[0], there])  # unless it is done
            if first is not None and (first / "checkpoints").exists():
                others = [] if shared is None else [w for w in words if w not in shared.words]
                self._search([f"from={first}", *others, *bound])
            else:
                self._search([*words, *images, *bound])
                first = first or run
            found[title_of(quantile)] = self._look_up(place, run)
        return {"limits": found}

    def _search(self, words: Sequence[str]) -> None:
        """Run a search as a user does, or continue it."""
        subprocess.run([sys.executable, str(ROOT / "tools" / "search.py"), *words], check=True)

    def _look_up(self, place: Place, run: Path) -> dict[str, Any]:
        """What a search hands over, what it is truly worth, and the images that it has seen."""
        found, space = read_json(run / "found.json"), _space(place)
        network = space.canonical(space.parse(found["genotype"]))
        return {
            "genotype": found["genotype"],
            "cost": found["costs"][place.cost],
            "images": sum(read_result(run).images.values()),
            "true": {c: _values(place, c, self.data)[network] for c in place.columns},
        }


def _bound(limit: float | None) -> str:
    return "none" if limit is None else f"{limit:.0f}"


def title_of(quantile: float) -> str:
    """What a limit is called."""
    return "no limit" if quantile >= 1 else f"{quantile:.0%} meet it"


def find_limits(place: Place, data: Path) -> dict[float, float | None]:
    """The limits on cost by the share of the networks that meet them."""
    costs = np.array(list(_costs(place, data).values()))
    return {
        quantile: None if quantile >= 1 else float(np.floor(np.quantile(costs, quantile)))
        for quantile in place.quantiles
    }


def describe(place: Place, data: Path) -> dict[str, Any]:
    """For each limit: the best true value within it, that of the largest network, and the mean."""
    costs, found = _costs(place, data), {}
    for quantile, limit in find_limits(place, data).items():
        within = [a for a, cost in costs.items() if limit is None or cost <= limit]
        most = max(costs[a] for a in within)
        columns = {}
        for column in place.columns:
            values = _values(place, column, data)
            columns[column] = {
                "best": max(values[a] for a in within),
                "largest": float(np.mean([values[a] for a in within if costs[a] == most])),
                "random": float(np.mean([values[a] for a in within])),
            }
        found[title_of(quantile)] = {"limit": limit, "networks": len(within), "columns": columns}
    return {"limits": found}


def _space(place: Place) -> SearchSpace:
    recipe = _recipe(place)
    return load_task(recipe.task).space(recipe)


def _recipe(place: Place) -> Recipe:
    return load_recipe(place.words, drop_unread=True).recipe


@lru_cache(maxsize=4)
def _values(place: Place, column: str, data: Path) -> Mapping[Architecture, float]:
    return read_networks(place.words, data / place.table, column)


@lru_cache(maxsize=2)
def _costs(place: Place, data: Path) -> Mapping[Architecture, float]:
    """The cost of every distinct network."""
    costs = costs_of(_recipe(place))
    return {a: float(costs.costs(a)[place.cost]) for a in _values(place, place.columns[0], data)}
