"""BOHB: Hyperband, filled by a model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.search.strategies.base import NAME, StrategyContext
from fewshot_core.search.strategies.hyperband import HyperbandSettings, HyperbandStrategy
from fewshot_core.search.trial import Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from fewshot_core.search.samplers import SamplerFactory

CANDIDATES = 64
"""Samples of the model, of which the best is taken (Falkner et al. 2018, appendix)."""


@dataclass(frozen=True)
class BohbSettings(HyperbandSettings):
    """The ladder of budgets, and what the model leaves to chance."""

    name: str = setting("bohb", NAME)
    random_share: float = setting(
        0.33, "share of the architectures that are drawn at random all the same", low=0, high=1
    )


@register(
    "strategy",
    "bohb",
    settings=BohbSettings,
    about="hyperband with a model of good architectures (Falkner et al., ICML 2018)",
    budgets=True,
    only_with_budgets=("eta", "least"),
)
def make_bohb(settings: BohbSettings, context: StrategyContext) -> BohbStrategy:
    """Brackets over a region, and a model for each budget."""
    from fewshot_core.search.samplers.tpe import make_tpe_sampler

    model = make_tpe_sampler(context.region, n_startup_trials=1, n_ei_candidates=CANDIDATES)
    return BohbStrategy(
        context.region, settings.shares(context), settings.eta, model, settings.random_share
    )


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
    """

    def __init__(
        self,
        region: Region,
        shares: tuple[float, ...],
        eta: int,
        make_sampler: SamplerFactory,
        random_share: float,
    ) -> None:
        from fewshot_core.search.samplers import SampledStrategy

        super().__init__(region, shares, eta)
        self._random_share = random_share
        self._models = {share: SampledStrategy(region, make_sampler) for share in shares}
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
