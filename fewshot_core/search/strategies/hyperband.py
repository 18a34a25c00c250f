"""Hyperband, and BOHB, which is Hyperband with a model."""

from __future__ import annotations

import random

from fewshot_core.search.strategies.base import Strategy
from fewshot_core.search.strategies.brackets import Brackets
from fewshot_core.search.strategies.sampled import SampledStrategy, SamplerFactory
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture


class HyperbandStrategy(Strategy):
    """Hyperband (Li et al., JMLR 2018): many architectures on little budget, the best on more.

    With one budget there is nothing to promote, and it is random search.
    """

    def __init__(
        self, region: Region, shares: tuple[float, ...], eta: int, direction: str = "maximize"
    ) -> None:
        self.directions = (direction,)
        self._region = region
        self._brackets = Brackets(shares, eta)

    def ask(self, seed: int) -> Proposal:
        slot = self._brackets.slot()
        if slot.architecture is not None:
            return Proposal(slot.architecture, slot.budget)
        return Proposal(self.draw(seed), slot.budget)

    def tell(self, trial: Trial) -> None:
        self._brackets.fill(trial.architecture, -trial.score if self.minimise else trial.score)

    def draw(self, seed: int) -> Architecture:
        """A new architecture for the first rung of a bracket."""
        return self._region.sample(random.Random(seed))


class BohbStrategy(HyperbandStrategy):
    """BOHB (Falkner et al., ICML 2018): the brackets of Hyperband, filled by a model.

    The model is Optuna's multivariate tree-structured Parzen estimator, which is modelled on
    BOHB's. It looks at the highest budget that has enough trials (section 3.2: ``N_min + 2`` with
    ``N_min`` one more than there are decisions), and at no other.

    Args:
        region: Where to search.
        shares: The budgets.
        eta: As for Hyperband.
        make_sampler: From a seed to the sampler that is the model.
        random_share: So many architectures are drawn at random all the same.
        direction: Of the score.
    """

    def __init__(
        self,
        region: Region,
        shares: tuple[float, ...],
        eta: int,
        make_sampler: SamplerFactory,
        random_share: float,
        direction: str = "maximize",
    ) -> None:
        super().__init__(region, shares, eta, direction)
        self._random_share = random_share
        self._models = {
            share: SampledStrategy(region, make_sampler, self.directions) for share in shares
        }
        self._told = dict.fromkeys(shares, 0)
        self._enough = sum(len(options) > 1 for options in region.allowed) + 3

    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        self._models[trial.budget].tell(trial)
        self._told[trial.budget] += 1

    def draw(self, seed: int) -> Architecture:
        ready = [share for share, told in self._told.items() if told >= self._enough]
        if not ready or random.Random(seed).random() < self._random_share:
            return super().draw(derive_seed(seed, "random"))
        return self._models[max(ready)].ask(derive_seed(seed, "model")).architecture
