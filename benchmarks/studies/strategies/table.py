"""The tables that strategies search in: what guides them, and what is true.

A guide is a number for every cell: the score that a strategy sees. The truth is another number,
which no strategy sees unless it is the guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from benchmarks.studies.cifar10 import costs_of
from fewshot_core.recipe.load import load_recipe
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.tasks import load_task
from fewshot_core.trust.scores import read_table
from fewshot_core.trust.values import read_values

METHODS = ("random", "hyperband", "rea", "reinforce", "lanas", "tpe", "bohb", "smac")
"""Hyperband stands beside random search: a table has one budget, and nothing can be promoted."""


@dataclass(frozen=True)
class Benchmark:
    """A published table of true accuracies.

    Attributes:
        file: Where it is in a folder of data sets.
        recipe: A recipe of its space, and what is changed in it.
        folded: Whether equal networks have one truth, that of their representative. NAS-Bench-201
            has trained cells that are one network each by itself.
    """

    file: str
    recipe: tuple[str, ...]
    folded: bool = False


BENCHMARKS = {
    "nasbench201": Benchmark("nasbench201/accuracies.csv", ("recipe=nasbench201",)),
    "nasbenchmacro": Benchmark(
        "nasbenchmacro/accuracies.csv", ("recipe=nasbench_macro",), folded=True
    ),
    # A sample of NAS-Bench-101, of which 4,023 networks are in this space: no others are tried.
    "nasbench101": Benchmark(
        "nasbench101/accuracies.csv",
        ("recipe=nasbench1shot1", "network.space=nasbench1shot1_3"),
        folded=True,
    ),
}

TOP = 1000
"""One in so many networks is among the best, of which a search is to find one."""

COUNTING = "connected parameters"

SCORES = ("one-shot", "few-shot")
"""Score files of a run."""

POINTS = 24
"""Points that are kept of a curve, at equal distances on a logarithmic axis."""

Values = Mapping[Architecture, float]


@dataclass(frozen=True)
class GuidedTable:
    """What every cell is worth.

    Attributes:
        truth: The true values; where ``folded``, of representatives.
        guides: The scores, by the name of the guide; one of them is the truth itself.
        folded: Whether equal networks have one truth.
    """

    space: SearchSpace
    truth: Values
    guides: Mapping[str, Values]
    folded: bool = False

    def row(self, architecture: Architecture) -> Architecture:
        """Under which architecture the values of one stand, if there are any."""
        return self.space.canonical(architecture) if self.folded else architecture

    def knows(self, architecture: Architecture) -> bool:
        """Whether the table has it: a search tries no other."""
        return self.row(architecture) in self.truth

    @cached_property
    def top(self) -> float:
        """The lowest truth of the best 0.1 %: of networks, where equal ones share theirs."""
        ranked = sorted(self.truth.values(), reverse=True)
        return ranked[max(1, round(len(ranked) / TOP)) - 1]


@dataclass(frozen=True)
class Files:
    """Where a table comes from.

    Attributes:
        truth: A CSV file of true values.
        column: Its column.
        scores: Score files of a run by the name of the guide.
        benchmark: Name of the benchmark that the table is of.
    """

    truth: Path
    column: str
    scores: tuple[tuple[str, Path], ...] = ()
    benchmark: str = "nasbench201"

    @property
    def guides(self) -> list[str]:
        """Names of the guides, which are those of the table."""
        return [*(name for name, _ in self.scores), self.truth_guide, COUNTING]

    @property
    def truth_guide(self) -> str:
        """Name of the guide that is the truth."""
        return f"the truth ({self.column})"

    def read(self) -> GuidedTable:
        """The table.

        Raises:
            DataError: A file is missing or damaged, or lacks a cell.
        """
        benchmark = BENCHMARKS[self.benchmark]
        recipe = load_recipe(benchmark.recipe).recipe
        space = load_task(recipe.task).space(recipe)
        truth = read_values(space, self.truth, self.column).of
        if benchmark.folded:
            truth = {a: value for a, value in truth.items() if space.canonical(a) == a}
        costs = costs_of(recipe)
        guides = {
            **{name: _read_guide(space, path, truth) for name, path in self.scores},
            self.truth_guide: truth,
            COUNTING: {a: costs.costs(a)["connected_params"] for a in truth},
        }
        return GuidedTable(space, truth, guides, benchmark.folded)


def _read_guide(space: SearchSpace, path: Path, truth: Values) -> Values:
    """Read negative losses, of which a file has one for all cells that are the same network."""
    losses = {space.parse(cell): loss for cell, loss in read_table(path, "loss").items()}
    return {a: -losses[space.canonical(a)] for a in truth}


@lru_cache(maxsize=1)
def read_once(files: Files) -> GuidedTable:
    """The table, which a worker reads once for all of its jobs."""
    return files.read()


def points_of(trials: int) -> list[int]:
    """After how many trials a curve is looked at; the first and the last are among them."""
    return [int(point) for point in np.unique(np.geomspace(1, trials, POINTS).round())]
