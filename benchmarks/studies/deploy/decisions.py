"""Ways to spend a budget of training images, simulated on learning curves and scores.

A way gets a budget, a limit on cost and a seed, and hands over one network. What it pays for are
the images of supernets and of trainings from scratch; costs and untrained scores are free.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fewshot_core.pipeline.ladder import rank
from fewshot_core.search.ladder import LEAST, LadderModel, join_results
from fewshot_core.spaces.space import Architecture, SearchSpace

Vector = NDArray[np.float64]

FIFTH = 0.2
"""Share of the networks within a limit that counts as the expensive ones."""


@dataclass(frozen=True)
class Score:
    """Scores of all networks, the higher the better, and the images that they cost."""

    values: Vector
    images: int


@dataclass(frozen=True)
class Pool:
    """Networks whose true values are known, with what was measured of them.

    Attributes:
        space: Their space.
        architectures: The networks [n].
        truth: True values [n].
        costs: What is limited [n].
        curves: Results of trainings from scratch, the higher the better, by what they are judged
            by and their length in images, ``[n]``; nan where a network was not trained for so long.
        scores: Other scores by name; of each one or more seeds, of which a search has one.
    """

    space: SearchSpace
    architectures: Sequence[Architecture]
    truth: Vector
    costs: Vector
    curves: Mapping[str, Mapping[int, Vector]]
    scores: Mapping[str, Sequence[Score]]

    def within(self, limit: float) -> list[int]:
        """The networks that cost no more than a limit."""
        return [int(i) for i in np.flatnonzero(self.costs <= limit)]

    def best(self, limit: float) -> float:
        """The best true value within a limit."""
        return float(self.truth[self.within(limit)].max())


class Way(Protocol):
    """Hands over a network for a budget."""

    def __call__(self, pool: Pool, budget: int, limit: float, rng: random.Random) -> int | None:
        """The number of a network; None where the budget is too small."""


@dataclass(frozen=True)
class Largest:
    """The most expensive network within the limit."""

    def __call__(self, pool: Pool, budget: int, limit: float, rng: random.Random) -> int | None:
        return max(pool.within(limit), key=lambda i: (pool.costs[i], -i))


@dataclass(frozen=True)
class Drawn:
    """A random network."""

    def __call__(self, pool: Pool, budget: int, limit: float, rng: random.Random) -> int | None:
        return rng.choice(pool.within(limit))


@dataclass(frozen=True)
class Scored:
    """The network of the best score."""

    score: str

    def __call__(self, pool: Pool, budget: int, limit: float, rng: random.Random) -> int | None:
        found = rng.choice(pool.scores[self.score])
        if found.images > budget:
            return None
        return max(pool.within(limit), key=lambda i: (found.values[i], -pool.costs[i], -i))


@dataclass(frozen=True)
class Ladder:
    """Trainings from scratch, of many networks shortly and of fewer longer.

    Attributes:
        judge: What trainings are judged by: ``loss`` or ``accuracy``.
        begin: ``random`` networks, the ``expensive`` fifth, or those of the best score of a name.
        rungs: How many lengths are used; each has the same share of the budget.
        proposals: Share of the further rungs that a model proposes.
        prior: Weight of the ranks by cost and by the score, beside that by results.
    """

    begin: str = "random"
    judge: str = "loss"
    rungs: int = 3
    proposals: float = 0.0
    prior: float = 0.0

    def __call__(self, pool: Pool, budget: int, limit: float, rng: random.Random) -> int | None:
        seeds = pool.scores.get(self.begin)
        score = rng.choice(seeds) if seeds else None
        left = budget - (score.images if score else 0)
        curves = pool.curves[self.judge]
        plan = plan_lengths(sorted(curves), left, self.rungs)
        if not plan:
            return None
        within = pool.within(limit)
        standing = self._first(pool, within, plan[0][1], score, rng)
        results: list[dict[int, float]] = []
        for number, (length, places) in enumerate(plan):
            known = {i: float(v) for i in within if not math.isnan(v := curves[length][i])}
            if number:
                standing = self._next(pool, within, results, known, places, score)
            measured = {i: known[i] for i in standing if i in known}
            if not measured:
                break
            results.append(measured)
        if not results:
            return None
        return self._best_first(pool, results[-1], score)[0]

    def _best_first(
        self, pool: Pool, results: Mapping[int, float], score: Score | None
    ) -> list[int]:
        """The networks of a rung from the best to the worst, as a real ladder orders them."""
        every = list(results)
        merits = rank([results[i] for i in every])
        if self.prior:
            told = [math.nan if score is None else float(score.values[i]) for i in every]
            merits = merits + self.prior * (rank([pool.costs[i] for i in every]) + rank(told))
        order = sorted(range(len(every)), key=lambda n: (-merits[n], pool.costs[every[n]], n))
        return [every[n] for n in order]

    def _first(
        self, pool: Pool, within: list[int], places: int, score: Score | None, rng: random.Random
    ) -> list[int]:
        if score is not None:
            return sorted(within, key=lambda i: (-score.values[i], pool.costs[i], i))[:places]
        if self.begin == "expensive":
            ranked = sorted(within, key=lambda i: (-pool.costs[i], i))
            within = ranked[: max(places, math.ceil(FIFTH * len(ranked)))]
        return rng.sample(within, min(places, len(within)))

    def _next(
        self,
        pool: Pool,
        within: Sequence[int],
        results: Sequence[Mapping[int, float]],
        known: Mapping[int, float],
        places: int,
        score: Score | None,
    ) -> list[int]:
        """Who climbs: the best that were trained for so long, and what a model proposes.

        A proposal that was never trained for so long, because it was not among the better ones,
        takes its place all the same: it would have been trained in vain.
        """
        proposed = self._propose(pool, within, results, round(self.proposals * places))
        ranked = self._best_first(pool, results[-1], score)
        climbing = [i for i in ranked if i in known][: places - len(proposed)]
        return [*climbing, *proposed]

    def _propose(
        self,
        pool: Pool,
        within: Sequence[int],
        results: Sequence[Mapping[int, float]],
        count: int,
    ) -> list[int]:
        architectures = pool.architectures
        joined = join_results([{architectures[i]: v for i, v in rung.items()} for rung in results])
        if count == 0 or len(joined) < LEAST:
            return []
        model = LadderModel(pool.space, joined)
        others = [i for i in within if architectures[i] not in joined]
        if not model.tau > 0 or not others:
            return []
        guesses = model.predict([architectures[i] for i in others])
        order = sorted(range(len(others)), key=lambda place: (-guesses[place], others[place]))
        return [others[place] for place in order[:count]]


def plan_lengths(lengths: Sequence[int], budget: float, rungs: int) -> list[tuple[int, int]]:
    """Lengths and numbers of networks of the rungs of a ladder; none where nothing can be trained.

    The longest ``rungs`` neighbouring lengths of which the last can train two networks with its
    share; fewer where there are no such.
    """
    for count in range(min(rungs, len(lengths)), 0, -1):
        for start in range(len(lengths) - count, -1, -1):
            chosen = lengths[start : start + count]
            places = [int(budget / count / length) for length in chosen]
            if places[-1] >= 2:
                return list(zip(chosen, places, strict=True))
    return []


def choose_all(
    pool: Pool, way: Way, budget: int, limit: float, seeds: int
) -> NDArray[np.int64] | None:
    """The networks that a way hands over, one for each seed.

    Seeds are alike for all ways, so that differences are paired.

    Returns:
        Their numbers ``[seeds]``; None where the budget is too small.
    """
    found = [way(pool, budget, limit, random.Random(seed)) for seed in range(seeds)]
    return None if any(chosen is None for chosen in found) else np.array(found, dtype=np.int64)


def regrets(pool: Pool, way: Way, budget: int, limit: float, seeds: int) -> Vector | None:
    """How far what is handed over is from the best within the limit, for each seed.

    Returns:
        ``[seeds]``, 0 or more; None where the budget is too small.
    """
    chosen = choose_all(pool, way, budget, limit, seeds)
    return None if chosen is None else pool.best(limit) - pool.truth[chosen]
