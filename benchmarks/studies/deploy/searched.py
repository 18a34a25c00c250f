"""Strategies that ask for short trainings, simulated on networks whose results are known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.deploy.decisions import Pool, Vector
from benchmarks.studies.strategies.measure import prepare_search
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region

LEAST = 24
"""Trainings that a strategy needs to learn from."""


@dataclass(frozen=True)
class Searched:
    """A strategy asks for trainings of one length, and the best of them is handed over.

    What it asks for is trained where its result is known. Where it is not, the network nearest to
    it takes its place, and the strategy is told so. A strategy may ask for anything, so this is
    what it would do with these networks for a space.

    Attributes:
        strategy: Its name.
        judge: What trainings are judged by: ``loss`` or ``accuracy``.
    """

    strategy: str
    judge: str = "loss"

    def __call__(self, pool: Pool, budget: int, limit: float, rng: random.Random) -> int | None:
        within = np.array(pool.within(limit))
        length = find_length(pool.curves[self.judge], within, budget)
        if length is None:
            return None
        results = pool.curves[self.judge][length][within]
        codes = encode(pool)[within]
        _, strategy = prepare_search(self.strategy, Region.root(pool.space))
        left = np.ones(len(within), dtype=bool)
        best: tuple[float, float, int] | None = None
        for number in range(min(budget // length, len(within))):
            wanted = strategy.ask(rng.getrandbits(32)).architecture
            code = np.array(Region.root(pool.space).encode(wanted))
            far = (codes != code).sum(1) + np.where(left, 0, codes.shape[1] + 1)
            at = rng.choice(np.flatnonzero(far == far.min()).tolist())
            left[at] = False
            score, chosen = float(results[at]), int(within[at])
            strategy.tell(Trial(number, pool.architectures[chosen], score, {"score": score}))
            mine = (score, -float(pool.costs[chosen]), chosen)
            best = mine if best is None else max(best, mine)
        return None if best is None else best[2]


def find_length(curves: Mapping[int, Vector], within: NDArray[np.int64], budget: int) -> int | None:
    """The longest training that every network had and that is paid for often enough."""
    paid = [
        length
        for length, results in curves.items()
        if budget // length >= LEAST and not np.isnan(results[within]).any()
    ]
    return max(paid, default=None)


def encode(pool: Pool) -> NDArray[np.int64]:
    """The networks by the places of their choices: ``[n, decisions]``."""
    root = Region.root(pool.space)
    return np.array([root.encode(architecture) for architecture in pool.architectures])
