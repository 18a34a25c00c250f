"""SETN: random paths train the weights, a mixture the choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import PreferenceSettings, StrategySettings
from fewshot_core.search.differentiable.base import SAMPLES, WEIGHT_DECAY, Method, StepContext
from fewshot_core.search.strategies.base import NAME
from fewshot_core.spaces.paths import PathPolicy, UniformPaths

if TYPE_CHECKING:
    from fewshot_core.search.preferences.relaxed import RelaxedSupernet
    from fewshot_core.search.preferences.steps import PreferenceStep


@dataclass(frozen=True)
class SetnSettings(StrategySettings):
    """What there is to set stands in the section `preferences`."""

    name: str = setting("setn", NAME)


@dataclass(frozen=True)
class SetnPreferences(PreferenceSettings):
    """How SETN learns what it prefers."""

    weight_decay: float = setting(1e-3, WEIGHT_DECAY, low=0)
    samples: int = setting(50, SAMPLES, low=1)


@register(
    "strategy",
    "setn",
    settings=SetnSettings,
    about="random paths for the weights, a mixture for the choice (Dong and Yang, ICCV 2019)",
    sections={"preferences": SetnPreferences},
    differentiable=True,
)
def make_setn(settings: SetnSettings, preferences: SetnPreferences) -> Method:
    """SETN with these preferences."""
    return _Setn(preferences)


class _Setn(Method):
    preferences: SetnPreferences

    @property
    def count(self) -> int:
        return self.preferences.samples

    def paths(self, model: RelaxedSupernet) -> PathPolicy:
        return UniformPaths(model.region)

    def make_step(self, model: RelaxedSupernet, context: StepContext) -> PreferenceStep:
        from fewshot_core.search.preferences.steps import MixtureStep

        return MixtureStep(model, context.loss, context.lr, self.preferences.weight_decay)
