"""Counting: the larger network has the better score. What every other score has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from fewshot_core.evaluators.base import NAME, EvaluatorContext
from fewshot_core.evaluators.words import Told, Words
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import EvaluatorSettings
from fewshot_core.spaces.space import Architecture

COSTS = ("params", "flops")


@dataclass(frozen=True)
class CountingSettings(EvaluatorSettings):
    """Scores by size."""

    name: str = setting("counting", NAME)
    cost: str = setting("params", "params | flops, of the connected network", choices=COSTS)


class CountingWords(Words):
    """Scores by size."""

    audited: ClassVar[bool] = False  # an audit compares networks of equal cost

    def label(self, settings: CountingSettings, told: Told) -> str:
        return f"{_name(settings)} of the connected network"

    def meaning(self, settings: CountingSettings, told: Told) -> str:
        return f"{_name(settings)}: the larger network counts as the better one"

    def method(self, told: Told) -> str:
        return "search for the largest network"


@register(
    "evaluator",
    "counting",
    settings=CountingSettings,
    about="the more parameters or FLOPs, the better: a baseline, and the start of a ladder",
    words=CountingWords(),
)
def make_counting(settings: CountingSettings, context: EvaluatorContext) -> CountingEvaluator:
    """Count what networks of the run cost."""
    return CountingEvaluator(context.costs, f"connected_{settings.cost}")


class CountingEvaluator:
    """Scores an architecture by a cost.

    Args:
        costs: All costs of an architecture.
        cost: Name of the one that counts.
    """

    def __init__(self, costs: Callable[[Architecture], Mapping[str, float]], cost: str) -> None:
        self._costs, self._cost = costs, cost

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return {"score": self._costs(architecture)[self._cost]}


def _name(settings: CountingSettings) -> str:
    return {"params": "parameters", "flops": "FLOPs"}[settings.cost]
