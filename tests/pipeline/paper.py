"""A run on paper: what is known of it is there, and nothing is trained."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fewshot_core.costs.table import Constraint, CostTable, Limits
from fewshot_core.description import Description
from fewshot_core.evaluators import agreed
from fewshot_core.pipeline import audit, candidates, ladder
from fewshot_core.pipeline.candidates import COST
from fewshot_core.pipeline.processes import Team
from fewshot_core.plugins import Plugin, plugin_of
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.schema import AuditSettings, Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.testing.strategies import Killed
from fewshot_tasks.cifar10.space import nasbench201

SIZES = {"nor_conv_1x1": 100.0, "nor_conv_3x3": 900.0}
Score = Callable[[Architecture], float]


class Paper:
    """What an audit uses of a run; trainings and scores are functions of the architecture."""

    def __init__(self, path: Path, score: Score, truth: Score, *, writes: bool = True) -> None:
        self.recipe: Recipe = Recipe(seed=3, audit=AuditSettings(networks=12, epochs=2.0))
        self.root = Region.root(nasbench201())
        self.costs = _costs(self.root.space)
        self.limits = Limits()
        self.folder = RunFolder(path, writes)
        self.console = Console(writes=False)
        self.task = SimpleNamespace(description=Description({}))
        facts = SimpleNamespace(described={"validation": 10_000})
        data = SimpleNamespace(train=range(100))
        self.images = SimpleNamespace(data=lambda: data, facts=lambda: facts)
        self.asked: list[Architecture] = []
        self.trained: list[tuple[Architecture, float]] = []
        self.dies_at: int | None = None
        self._score, self._truth = score, truth

        self.team = Team(SimpleNamespace(num_processes=1), apart=False)  # type: ignore[arg-type]
        self.stop = StopRequest()
        self.tree = RegionTree(self.root)
        self.diverged: dict[Region, str] = {}
        self.writes = writes

    def accepts(self) -> Constraint:
        return Constraint(self.costs, self.limits)

    def price(self, architecture: Architecture) -> tuple[float, ...]:
        return self.limits.price(self.costs.costs(architecture))

    def change(self, **values: object) -> None:
        """Other settings, by keys with ``__`` for dots."""
        self.recipe = with_values(self.recipe, {k.replace("__", "."): v for k, v in values.items()})

    @property
    def evaluator(self) -> Plugin:
        return plugin_of("evaluator", self.recipe.evaluator)

    @property
    def shares_equal(self) -> bool:
        return True

    def evaluate(self, architecture: Architecture) -> dict[str, float]:
        if len(self.asked) == self.dies_at:
            raise Killed
        self.asked.append(architecture)
        return {"score": self._score(architecture)}

    def train(self, architecture: Architecture, epochs: float) -> dict[str, float]:
        self.trained.append((architecture, epochs))
        value = self._truth(architecture)
        return {"accuracy": value, "loss": -value}

    def search(self, count: int = 20) -> list[Trial]:
        rng = random.Random(0)
        found = [self.root.sample(rng) for _ in range(count)]
        return [Trial(i, a, self._score(a), {}) for i, a in enumerate(found)]

    def cost(self, architecture: Architecture) -> float:
        return self.costs.costs(architecture)[COST]


def _costs(space: SearchSpace) -> CostTable:
    names = ("params", "flops", "fvcore_flops")
    return CostTable(
        space,
        dict.fromkeys(names, 1000.0),
        {
            d.name: {o: dict.fromkeys(names, SIZES.get(str(o), 0.0)) for o in d.options}
            for d in space.decisions
        },
    )


@pytest.fixture(autouse=True)
def on_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let audits ask the run itself for scores and trainings."""
    monkeypatch.setattr(
        candidates,
        "make_agreed",
        lambda run: agreed.agreed(SimpleNamespace(evaluate=run.evaluate)),  # type: ignore[arg-type]
    )
    for module in (audit, ladder):
        monkeypatch.setattr(
            module,
            "train_standalone",
            lambda run, architecture, epochs, every_image: run.train(architecture, epochs),
        )
