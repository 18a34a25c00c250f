"""Plug-ins of somebody else, one of each kind, which recipes name by their paths."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fewshot_core.evaluators import EvaluatorContext
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import EvaluatorSettings, SplitLevel, StrategySettings
from fewshot_core.recipe.trainings import PathSettings
from fewshot_core.search.strategies import Strategy, StrategyContext
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.paths import PathsContext, UniformPaths
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters import ByDecision, SplitterContext


@dataclass(frozen=True)
class GuessSettings(StrategySettings):
    name: str = setting("guess", "which strategy")
    width: int = setting(3, "guesses of which the largest is asked for", low=1)


@register("strategy", "guess", settings=GuessSettings, about="guesses")
class Guess(Strategy):
    def __init__(self, settings: GuessSettings, context: StrategyContext) -> None:
        self.region, self.width, self.cost = context.region, settings.width, context.cost

    def ask(self, seed: int) -> Proposal:
        rng = random.Random(seed)
        return Proposal(max((self.region.sample(rng) for _ in range(self.width)), key=self.cost))

    def tell(self, trial: Trial) -> None:
        pass


@dataclass(frozen=True)
class CountSettings(EvaluatorSettings):
    name: str = setting("count", "which evaluator")
    option: str = setting("none", "the option that is counted")


@register("evaluator", "count", settings=CountSettings, about="counts an option")
class Count:
    def __init__(self, settings: CountSettings, context: EvaluatorContext) -> None:
        self.option = settings.option

    def evaluate(self, architecture: Architecture) -> dict[str, float]:
        return {"score": float(architecture.choices.count(self.option))}


@dataclass(frozen=True)
class EdgeLevel(SplitLevel):
    by: str = setting("edge", "which splitter")
    edge: str = setting("edge_1_0", "the edge that is cut")


@register("splitter", "edge", settings=EdgeLevel, about="cuts an edge", products=True)
def make_edge(level: EdgeLevel, context: SplitterContext) -> ByDecision:
    return ByDecision(level.edge)


@dataclass(frozen=True)
class EvenSettings(PathSettings):
    policy: str = setting("even", "which policy")


@register("paths", "even", settings=EvenSettings, about="uniform paths", spans=True)
def make_even(settings: EvenSettings, context: PathsContext) -> UniformPaths:
    return UniformPaths(context.region)
