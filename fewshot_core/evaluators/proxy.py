"""Scores from networks that nobody has trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from fewshot_core.evaluators.inherited import representative
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture


class ProxyEvaluator:
    """Builds each architecture's network and scores it by a training-free proxy.

    Args:
        root: The whole space.
        build: The untrained network of an architecture, with the same weights on every call.
        proxy: Scores a network, higher is better: see :mod:`fewshot_core.evaluators.proxies`.
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
