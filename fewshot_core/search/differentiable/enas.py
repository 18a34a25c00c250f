"""ENAS: a controller draws the paths of the weights, and learns by REINFORCE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import PreferenceSettings, StrategySettings
from fewshot_core.search.differentiable.base import SAMPLES, Method, StepContext
from fewshot_core.search.strategies.base import NAME

if TYPE_CHECKING:
    from fewshot_core.search.preferences.relaxed import RelaxedSupernet
    from fewshot_core.search.preferences.steps import PreferenceStep
    from fewshot_core.spaces.paths import PathPolicy
    from fewshot_core.supernet import Supernet


@dataclass(frozen=True)
class EnasSettings(StrategySettings):
    """What there is to set stands in the section `preferences`."""

    name: str = setting("enas", NAME)


@dataclass(frozen=True)
class EnasPreferences(PreferenceSettings):
    """How the controller of ENAS learns what it prefers."""

    hidden: int = setting(64, "size of the controller", low=1)
    entropy: float = setting(1e-4, "weight of the entropy of its choices", low=0)
    decay: float = setting(
        0.95, "of the moving average that rewards are compared with", low=0, below=1
    )
    samples: int = setting(50, SAMPLES, low=1)


@register(
    "strategy",
    "enas",
    settings=EnasSettings,
    about="a controller learns with the weights, by REINFORCE (Pham et al., ICML 2018)",
    sections={"preferences": EnasPreferences},
    differentiable=True,
)
def make_enas(settings: EnasSettings, preferences: EnasPreferences) -> Method:
    """ENAS with these preferences."""
    return _Enas(preferences)


class _Enas(Method):
    preferences: EnasPreferences

    # The weights of a controller act on a choice together: 2,000 steps with the 3.5e-4 of Pham et
    # al. With three times as much every choice was as good as made at the end.
    reach: ClassVar[float] = 0.7
    mixes: ClassVar[bool] = False

    @property
    def count(self) -> int:
        return self.preferences.samples

    def relax(self, supernet: Supernet) -> RelaxedSupernet:
        from fewshot_core.search.preferences.controller import Controller
        from fewshot_core.search.preferences.relaxed import RelaxedSupernet

        controller = Controller(supernet.region, self.preferences.hidden)
        return RelaxedSupernet(supernet, controller=controller)

    def paths(self, model: RelaxedSupernet) -> PathPolicy:
        from fewshot_core.search.preferences.controller import ControllerPaths

        assert model.controller is not None
        return ControllerPaths(model.controller)

    def make_step(self, model: RelaxedSupernet, context: StepContext) -> PreferenceStep:
        from fewshot_core.search.preferences.steps import ControllerStep

        assert model.controller is not None
        return ControllerStep(
            model,
            model.controller,
            context.loss,
            context.accepts,
            context.seed,
            lr=context.lr,
            entropy=self.preferences.entropy,
            decay=self.preferences.decay,
        )
