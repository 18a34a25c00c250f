"""Regularized evolution as an Optuna sampler."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fewshot_core.search.samplers.learning import LearningSampler
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

TRIES = 50
"""Children that are made until one satisfies the constraint."""


class EvolutionSampler(LearningSampler):
    """Aging evolution (Real et al., AAAI 2019, algorithm 1).

    The population is the last ``population`` completed trials. A parent is the best of ``sample``
    of them drawn without replacement; the child differs from it in one decision. Until the
    population is full, architectures are random.
    """

    def __init__(
        self,
        region: Region,
        *,
        population: int,
        sample: int,
        accepts: Callable[[Architecture], bool] = lambda architecture: True,
        seed: int | None = None,
    ) -> None:
        super().__init__(region, seed)
        self.sample = sample
        self.accepts = accepts
        self.alive: deque[tuple[Architecture, float]] = deque(maxlen=population)

    def learn(self, architecture: Architecture, goodness: float) -> None:
        self.alive.append((architecture, goodness))

    def draw(self) -> Architecture:
        if len(self.alive) < (self.alive.maxlen or 0):
            return self.region.sample(self.rng)
        parent, _ = max(self.rng.sample(self.alive, self.sample), key=lambda member: member[1])
        return self._child(parent)

    def _child(self, parent: Architecture) -> Architecture:
        """A neighbour that satisfies the constraint, where a few tries find one."""
        child = self.region.mutate(parent, self.rng)
        for _ in range(TRIES):
            if self.accepts(child):
                break
            child = self.region.mutate(parent, self.rng)
        return child
