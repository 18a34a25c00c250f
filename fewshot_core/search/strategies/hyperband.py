"""Hyperband: many architectures on little budget, the best on more."""

from __future__ import annotations

import random
from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies.base import NAME, Strategy, StrategyContext
from fewshot_core.search.strategies.brackets import Brackets, ladder
from fewshot_core.search.trial import FULL, Proposal, Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture


@dataclass(frozen=True)
class HyperbandSettings(StrategySettings):
    """The ladder of budgets."""

    name: str = setting("hyperband", NAME)
    eta: int = setting(3, "so many compete for one place at the next budget", low=2)
    least: float = setting(
        0.11,
        "Smallest share of the images of a score (validation images; of generators those they "
        "make), or of the epochs of standalone training. Other evaluators know one budget, and "
        "then there is nothing to promote.",
        above=0,
        high=1,
    )

    def shares(self, context: StrategyContext) -> tuple[float, ...]:
        """The budgets, rising to the whole one; that alone where the evaluator knows no other."""
        return ladder(self.least, self.eta) if context.budgets else (FULL,)


@register(
    "strategy",
    "hyperband",
    settings=HyperbandSettings,
    about="many architectures on little budget, the best on more (Li et al., JMLR 2018)",
    budgets=True,
    only_with_budgets=("eta", "least"),
)
def make_hyperband(settings: HyperbandSettings, context: StrategyContext) -> HyperbandStrategy:
    """Brackets over a region."""
    return HyperbandStrategy(context.region, settings.shares(context), settings.eta)


class HyperbandStrategy(Strategy):
    """Hyperband (Li et al., JMLR 2018): many architectures on little budget, the best on more.

    With one budget there is nothing to promote, and it is random search.
    """

    def __init__(self, region: Region, shares: tuple[float, ...], eta: int) -> None:
        self._region = region
        self._brackets = Brackets(shares, eta)

    def ask(self, seed: int) -> Proposal:
        slot = self._brackets.slot()
        if slot.architecture is not None:
            return Proposal(slot.architecture, slot.budget)
        return Proposal(self.draw(seed), slot.budget)

    def tell(self, trial: Trial) -> None:
        self._brackets.fill(trial.architecture, trial.score)

    def draw(self, seed: int) -> Architecture:
        """A new architecture for the first rung of a bracket."""
        return self._region.sample(random.Random(seed))
