"""Searches in a table: what guides them, what is true, and what they find trial by trial.

A guide is a number for every cell: the score that a strategy sees. The truth is another number,
which no strategy sees unless it is the guide.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewshot_core.data import ImageShape
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.loop import run_search
from fewshot_core.search.strategies import make_strategy
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.testing.strategies import new_study
from fewshot_core.trust.scores import read_table
from tasks.cifar10.task import TASK

METHODS = ("random", "hyperband", "rea", "reinforce", "tpe", "bohb", "smac")
"""Hyperband stands beside random search: a table has one budget, and nothing can be promoted."""

COUNTING = "connected parameters"

Values = Mapping[Architecture, float]


@dataclass(frozen=True)
class Table:
    """What every cell is worth.

    Attributes:
        truth: The true values.
        guides: The scores, by the name of the guide; one of them is the truth itself.
    """

    space: SearchSpace
    truth: Values
    guides: Mapping[str, Values]


@dataclass(frozen=True)
class Files:
    """Where a table comes from, small enough to be handed to another process.

    Attributes:
        truth: A CSV file of true values.
        column: Its column.
        scores: Score files of a run by the name of the guide.
    """

    truth: Path
    column: str
    scores: tuple[tuple[str, Path], ...] = ()

    def read(self) -> Table:
        """The table.

        Raises:
            DataError: A file is missing or damaged, or lacks a cell.
        """
        recipe = load_recipe(["recipe=nasbench201"]).recipe
        space = TASK.space(recipe)
        truth = {space.parse(cell): v for cell, v in read_table(self.truth, self.column).items()}
        costs = TASK.costs(recipe, ImageShape(3, 32, 10))
        guides = {
            **{name: _of_cells(space, path, truth) for name, path in self.scores},
            f"the truth ({self.column})": truth,
            COUNTING: {a: costs.costs(a)["connected_params"] for a in truth},
        }
        return Table(space, truth, guides)


def _of_cells(space: SearchSpace, path: Path, truth: Values) -> Values:
    """The negative losses of a score file, which has one of all cells that are the same network."""
    losses = {space.parse(cell): loss for cell, loss in read_table(path, "loss").items()}
    return {a: -losses[space.canonical(a)] for a in truth}


class Lookup:
    """An evaluator that looks scores up."""

    def __init__(self, values: Values) -> None:
        self.values = values

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return {"score": self.values[architecture]}


@dataclass(frozen=True)
class Curves:
    """One search, after each of its trials.

    Attributes:
        oracle: The best truth among the cells seen. Nobody without the truth could pick it.
        deployed: The truth of the cell with the best score so far: what the search hands over.
        distinct: How many different cells were asked for in all.
        seconds: Processor time of the search.
    """

    oracle: NDArray[np.float64]
    deployed: NDArray[np.float64]
    distinct: int
    seconds: float


def run(table: Table, guide: str, method: str, seed: int, evaluations: int) -> Curves:
    """One search, guided by a score and judged by the truth."""
    region = Region.root(table.space)
    began = time.process_time()
    strategy = make_strategy(StrategySettings(method), region, _anything)
    done = run_search(
        new_study(),
        region,
        strategy,
        Lookup(table.guides[guide]),
        _anything,
        count=evaluations,
        seed=derive_seed(seed, "strategies", method),
    )
    seconds = time.process_time() - began
    scores = np.array([trial.score for trial in done])
    truth = np.array([table.truth[trial.architecture] for trial in done])
    return Curves(
        np.maximum.accumulate(truth),
        truth[_first_best(scores)],
        len({trial.architecture for trial in done}),
        seconds,
    )


def _first_best(scores: NDArray[np.float64]) -> list[int]:
    """After each trial, the place of the best so far, the earliest of equals."""
    best, places = 0, []
    for place, score in enumerate(scores):
        if score > scores[best]:
            best = place
        places.append(best)
    return places


def _anything(architecture: Architecture) -> bool:
    return True
