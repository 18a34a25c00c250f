"""A region for every option of a decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import SplitLevel
from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.splitters.base import BY, SplitterContext


@dataclass(frozen=True)
class DecisionLevel(SplitLevel):
    """Which decision is cut."""

    by: str = setting("decision", BY)
    decision: str | None = setting(None, "the decision that is cut")

    def check(self, key: str) -> Iterator[str]:
        """A line where no decision is named."""
        if not self.decision:
            yield f"{key}.by={self.by} needs {key}.decision"


@register(
    "splitter",
    "decision",
    settings=DecisionLevel,
    about="a region for every option of a decision (Zhao et al., ICML 2021)",
    products=True,
)
def make_decision(level: DecisionLevel, context: SplitterContext) -> ByDecision:
    """A cut by a decision."""
    return ByDecision(str(level.decision))


@dataclass(frozen=True)
class ByDecision:
    """One region for every option of one decision (Zhao et al., ICML 2021, section 3)."""

    decision: str

    def __call__(self, region: Region) -> Partition:
        options = region.options(self.decision)
        return Partition(region, tuple(region.restrict(self.decision, (o,)) for o in options))
