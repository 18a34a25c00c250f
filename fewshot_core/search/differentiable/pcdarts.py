"""PC-DARTS: mixtures of a part of the channels, and edges that compete."""

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
    from fewshot_core.supernet import Supernet


@dataclass(frozen=True)
class PcdartsSettings(StrategySettings):
    """What there is to set stands in the section `preferences`."""

    name: str = setting("pcdarts", NAME)


@dataclass(frozen=True)
class PcdartsPreferences(PreferenceSettings):
    """How PC-DARTS learns what it prefers."""

    weight_decay: float = setting(1e-3, WEIGHT_DECAY, low=0)
    partial: int = setting(4, "operations see one of so many channels", low=1)
    start: float = setting(0.3, "share of the training before preferences move", low=0, below=1)


@register(
    "strategy",
    "pcdarts",
    settings=PcdartsSettings,
    about="mixtures of partial channels, edge normalisation (Xu et al., ICLR 2020)",
    sections={"preferences": PcdartsPreferences},
    differentiable=True,
)
def make_pcdarts(settings: PcdartsSettings, preferences: PcdartsPreferences) -> Method:
    """PC-DARTS with these preferences."""
    return _Pcdarts(preferences)


class _Pcdarts(Method):
    preferences: PcdartsPreferences

    @property
    def start(self) -> float:
        return self.preferences.start

    @property
    def partial(self) -> int:
        return self.preferences.partial

    def relax(self, supernet: Supernet) -> RelaxedSupernet:
        from fewshot_core.search.preferences.relaxed import RelaxedSupernet

        return RelaxedSupernet(supernet, normalise_places=True)

    def make_step(self, model: RelaxedSupernet, context: StepContext) -> PreferenceStep:
        from fewshot_core.search.preferences.steps import MixtureStep

        return MixtureStep(model, context.loss, context.lr, self.preferences.weight_decay)
