"""An opened run: what is known of it. To look at a value of it measures, reads and trains nothing.

What is done with a run lies in the other modules of this package, in functions that take it. A
value that changes, such as the regions once a learned split has been cut, makes another ``Run``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accelerate import Accelerator

from fewshot_core.costs.table import Constraint, CostTable, Limits, feasible
from fewshot_core.pipeline.images import RunImages
from fewshot_core.pipeline.processes import Team
from fewshot_core.plugins import Plugin, plugin_of
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.split_rule import SplitDecision
from fewshot_core.task import Task

FRONT_COST = "connected_flops"
"""The cost that a Pareto front is about: the one that users limit most."""


@dataclass(frozen=True, eq=False)
class KeptRun:
    """A run as its folder keeps it: enough for tools that compute nothing.

    Attributes:
        recipe: The settings of the run. They stay as they are.
        folder: The run folder.
        console: Where lines for the user go.
        task: The task of the recipe.
        root: The whole space.
        images: The images; they are read when :meth:`RunImages.data` is called.
    """

    recipe: Recipe
    folder: RunFolder
    console: Console
    task: Task
    root: Region
    images: RunImages

    @property
    def evaluator(self) -> Plugin:
        """What scores architectures, and what it can do."""
        return plugin_of("evaluator", self.recipe.evaluator)

    @property
    def strategy(self) -> Plugin:
        """Who asks for scores, and what it can do."""
        return plugin_of("strategy", self.recipe.strategy)

    @property
    def shares_equal(self) -> bool:
        """Whether architectures that are equal networks share one score."""
        return bool(vars(self.recipe.evaluator).get("share_equal", False))

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes the files of the run."""
        return self.folder.writes


@dataclass(frozen=True, eq=False)
class Run(KeptRun):
    """An opened run.

    Attributes:
        accelerator: All processes of the launch.
        worker: What trainings and scores run on: all processes, or this one alone.
        team: Who does which part of the work.
        stop: Whether this process was asked to stop.
        splitting: Whether the supernet is split, as decided when the run began.
        tree: The regions. Of a learned split the root alone until it was cut; without a split the
            root.
        costs: Costs of architectures; with latencies where they are limited.
        latency: What the parts of networks take on this device; None where it is not limited.
        diverged: Leaves without a supernet, and why.
        changes: Words of this launch that change a setting.
        variation: Settings of this launch's final trainings that are not those of the run's own
            recipe. What they train stands beside what that recipe has trained.
    """

    accelerator: Accelerator
    worker: Accelerator
    team: Team
    stop: StopRequest
    splitting: SplitDecision
    tree: RegionTree
    costs: CostTable
    latency: Mapping[str, Any] | None = None
    diverged: Mapping[Region, str] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    variation: Mapping[str, object] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """The constraint."""
        constraint = self.recipe.constraint
        return Limits(constraint.flops, constraint.params, constraint.latency)

    def accepts(self) -> Constraint:
        """Whether an architecture satisfies the constraint."""
        return feasible(self.costs, self.limits)

    def front_cost(self, architecture: Architecture) -> float:
        """The cost that paths, fronts and audits are about."""
        return self.costs.costs(architecture)[FRONT_COST]

    def price(self, architecture: Architecture) -> tuple[float, ...]:
        """What decides between architectures of equal score: the cheaper one is found."""
        return self.limits.price(self.costs.costs(architecture))
