"""Scores of a run: by which supernet, by which evaluator, and alike on every process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from fewshot_core.costs.table import Constraint
from fewshot_core.data.stream import calibration_batches
from fewshot_core.evaluators import Evaluator, InheritedEvaluator, inherited, making
from fewshot_core.evaluators.agreed import AgreedEvaluator, agreed
from fewshot_core.evaluators.inherited import representative
from fewshot_core.metrics import Metric
from fewshot_core.pipeline.kept_scores import score_and_keep
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.standalone import train_standalone
from fewshot_core.pipeline.supernets import load_supernet
from fewshot_core.pipeline.training import build_network
from fewshot_core.recipe.schema import InheritingSettings
from fewshot_core.runs.files import write_json
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.training.loop import DivergedError
from fewshot_core.training.objective import Scorer


@dataclass(frozen=True)
class RunContext:
    """What a run gives its evaluator: see :class:`fewshot_core.evaluators.base.EvaluatorContext`.

    Attributes:
        run: The run.
        tree: The regions that have a supernet each.
    """

    run: Run
    tree: RegionTree

    @property
    def seed(self) -> int:
        return self.run.recipe.seed

    @property
    def root(self) -> Region:
        return self.run.root

    @property
    def input_size(self) -> tuple[int, int, int]:
        return self.run.images.data().shape.input_size

    @cached_property
    def accepts(self) -> Constraint:
        return searchable(self.run)

    def costs(self, architecture: Architecture) -> Mapping[str, float]:
        return self.run.costs.costs(architecture)

    def metric(self, name: str) -> Metric:
        return self.run.task.description.find_metric(name)

    def load_supernet(self, region: Region) -> Supernet:
        return load_supernet(self.run, region)

    def scorer(self) -> Scorer:
        run = self.run
        return make_scorer(run, run.recipe, run.images.search_data(), "validation")

    def train(self, architecture: Architecture, epochs: float) -> dict[str, float]:
        # The worst there is where it diverges, for others may do better.
        try:
            return train_standalone(self.run, architecture, epochs)
        except DivergedError as error:
            self.tell(error.what)
            return {metric.name: math.nan for metric in self.run.task.description.metrics}

    def untrained(self, architecture: Architecture, seed: int) -> nn.Module:
        return build_network(self.run, architecture, seed)

    def training_images(self, count: int, seed: int) -> Tensor:
        data = self.run.images.data()
        batches = calibration_batches(data.train, count, count, seed, data.mean, data.std)
        return next(batches)[0].to(self.run.worker.device)

    def score_and_keep(
        self,
        make: Callable[[], Evaluator],
        architectures: Sequence[Architecture],
        file: str,
        title: str,
    ) -> Mapping[Architecture, float]:
        run = self.run
        return score_and_keep(run, lambda: agree(run, make()), architectures, file, title)

    def keep(self, file: str, value: Any) -> None:
        if self.run.writes:
            write_json(self.run.folder.file(file), value)

    def tell(self, line: str) -> None:
        self.run.console.print(line)


def scoring_region(run: Run, architecture: Architecture) -> Region:
    """The region whose supernet gives an architecture its score."""
    return region_of(run, run.tree, architecture)


def region_of(run: KeptRun, tree: RegionTree, architecture: Architecture) -> Region:
    """The same with the regions of a run that is only read."""
    if run.evaluator.inherits and run.shares_equal:
        architecture = representative(run.root, architecture)
    return tree.locate(architecture)


def searchable(run: Run) -> Constraint:
    """Whether an architecture satisfies the constraint and its region has a supernet."""
    if not run.diverged:
        return run.accepts()
    return Constraint(run.costs, run.limits, lambda a: scoring_region(run, a) in run.diverged)


def make_evaluator(run: Run, tree: RegionTree | None = None) -> Evaluator:
    """The evaluator of the recipe; ``tree`` replaces the run's regions."""
    return making.make_evaluator(run.recipe.evaluator, RunContext(run, tree or run.tree))


def make_inherited(run: Run, tree: RegionTree | None = None) -> InheritedEvaluator:
    """The evaluator of inherited weights, in a run whose own evaluator may predict scores.

    Raises:
        ValueError: The run trains no supernets.
    """
    settings = run.recipe.evaluator
    if not isinstance(settings, InheritingSettings):
        raise ValueError(f"evaluator={settings.name} has no supernets")
    return inherited.make_inherited(settings, RunContext(run, tree or run.tree))


def agree(run: Run, evaluator: Evaluator) -> AgreedEvaluator:
    """An evaluator that all processes ask alike for the same scores.

    Where each process works on its own, who has trained the supernet of a region scores in it.
    """
    if not run.team.apart:
        return agreed(evaluator)
    owners, size = run.team.owners(run.tree), run.team.size

    def owner(architecture: Architecture) -> int:
        if run.evaluator.inherits:
            return owners[scoring_region(run, architecture)]
        return derive_seed(0, "owner", architecture.id) % size

    return agreed(evaluator, run.team, owner)


def make_agreed(run: Run) -> AgreedEvaluator:
    """The evaluator of the recipe, asked by all processes alike; see :func:`agree`."""
    return agree(run, make_evaluator(run))
