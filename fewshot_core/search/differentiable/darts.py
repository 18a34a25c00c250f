"""DARTS: the gradient of a mixture, of first or second order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import PreferenceSettings, StrategySettings
from fewshot_core.search.differentiable.base import WEIGHT_DECAY, Method, StepContext
from fewshot_core.search.strategies.base import NAME

if TYPE_CHECKING:
    from fewshot_core.search.preferences.relaxed import RelaxedSupernet
    from fewshot_core.search.preferences.steps import PreferenceStep


@dataclass(frozen=True)
class DartsSettings(StrategySettings):
    """What there is to set stands in the section `preferences`."""

    name: str = setting("darts", NAME)


@dataclass(frozen=True)
class DartsPreferences(PreferenceSettings):
    """How DARTS learns what it prefers."""

    weight_decay: float = setting(1e-3, WEIGHT_DECAY, low=0)
    order: int = setting(1, "2 looks one step of the weights ahead", low=1, high=2)


@register(
    "strategy",
    "darts",
    settings=DartsSettings,
    about="mixtures, first or second order (Liu et al., ICLR 2019)",
    sections={"preferences": DartsPreferences},
    differentiable=True,
)
def make_darts(settings: DartsSettings, preferences: DartsPreferences) -> Method:
    """DARTS with these preferences."""
    return _Darts(preferences)


class _Darts(Method):
    preferences: DartsPreferences

    def make_step(self, model: RelaxedSupernet, context: StepContext) -> PreferenceStep:
        from fewshot_core.search.preferences.steps import MixtureStep

        ahead = context.rate if self.preferences.order == 2 else None
        return MixtureStep(model, context.loss, context.lr, self.preferences.weight_decay, ahead)
