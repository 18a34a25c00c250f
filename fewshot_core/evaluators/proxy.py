"""Scores from networks that nobody has trained."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fewshot_core.evaluators.base import EvaluatorContext
from fewshot_core.evaluators.inherited import representative
from fewshot_core.evaluators.words import Told, Words
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import EvaluatorSettings
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ProxySettings(EvaluatorSettings):
    """What evaluators have that look at untrained networks."""

    share_equal: bool = setting(True, "architectures with one canonical form share one score")


class ProxyWords(Words):
    """Scores of untrained networks.

    Args:
        title: The proxy as its authors write it.
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def label(self, settings: Any, told: Told) -> str:
        return f"{self.title}, untrained network"

    def meaning(self, settings: Any, told: Told) -> str:
        network = f"the untrained network{self.images(settings, told)}"
        return f"{self.title} of {network}; only its order means anything"

    def images(self, settings: Any, told: Told) -> str:
        """Which images it looks at; a clause with a blank or comma before it."""
        return ", which takes no image"

    def method(self, told: Told) -> str:
        return f"neural architecture search by a training-free proxy ({self.title})"


class ProxyEvaluator:
    """Builds each architecture's network and scores it by a training-free proxy.

    Args:
        root: The whole space.
        build: The untrained network of an architecture, with the same weights on every call.
        proxy: Scores a network, higher is better: see :mod:`fewshot_core.evaluators._proxies`.
        share_equal: Score the canonical form in place of the architecture, so that equal networks
            have one score and are computed once.
    """

    def __init__(
        self,
        root: Region,
        build: Callable[[Architecture], nn.Module],
        proxy: Callable[[nn.Module], float],
        *,
        share_equal: bool = True,
    ) -> None:
        self._root = root
        self._build = build
        self._proxy = proxy
        self._share_equal = share_equal
        self._known: dict[Architecture, Mapping[str, float]] = {}

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        target = representative(self._root, architecture) if self._share_equal else architecture
        if target not in self._known:
            self._known[target] = {"score": self._proxy(self._build(target))}
        return self._known[target]

    def require(self, region: Region, accepts: Callable[[Architecture], bool]) -> None:
        """Score one network: not every network can be scored by every proxy."""
        self.evaluate(region.sample(random.Random(0)))


def make_proxy(
    settings: ProxySettings, context: EvaluatorContext, proxy: Callable[[nn.Module], float]
) -> ProxyEvaluator:
    """An evaluator of a run's untrained networks.

    Args:
        settings: The section.
        context: The run.
        proxy: Scores a network, higher is better.
    """

    def build(architecture: Architecture) -> nn.Module:
        seed = derive_seed(context.seed, "proxy", architecture.id)
        return context.untrained(architecture, seed)

    return ProxyEvaluator(context.root, build, proxy, share_equal=settings.share_equal)
