"""Latent-action tree search as an Optuna sampler."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fewshot_core.search.samplers.learning import LearningSampler
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture

Places = NDArray[np.int64]
"""Architectures by the places of their choices among all options: ``[n, decisions]``."""

RIDGE = 1.0
"""Added to the diagonal, so that options which no sample has get no weight."""

REJECTIONS, SWEEPS = 200, 30
"""Random architectures, and then passes over all decisions, until a leaf's next one is found."""


@dataclass(frozen=True, eq=False)
class HalfSpace:
    """One side of a hyperplane through the encoded architectures.

    Attributes:
        weights: The weight of each option of each decision, ``[options]``.
        bound: What the sum of an architecture's weights is compared with.
        above: Which side.
    """

    weights: NDArray[np.float64]
    bound: float
    above: bool

    def holds(self, places: Places) -> NDArray[np.bool_]:
        """Whether each architecture ``[n, decisions]`` lies on this side: ``[n]``."""
        above: NDArray[np.bool_] = self.weights[places].sum(1) > self.bound
        return above if self.above else ~above


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the tree.

    Attributes:
        samples: Positions of its trials.
        value: Their mean score.
        path: The half-spaces whose intersection it is.
        children: The better half and the other; none: a leaf.
    """

    samples: NDArray[np.int64]
    value: float
    path: tuple[HalfSpace, ...]
    children: tuple[Node, ...] = ()


class LatentActionSampler(LearningSampler):
    """Latent-action Monte-Carlo tree search (LaNAS: Wang et al., TPAMI 2021, section 3).

    The trials so far are split by a binary tree: each inner node fits a linear regression of the
    score on the architecture to its own samples, and cuts where the prediction is their mean
    prediction. From the root, the child with the highest upper confidence bound is followed, and
    the next architecture is drawn uniformly where all inequalities of the path hold; what was
    scored already is not proposed again while anything else is left. The tree is fitted anew before
    every proposal, so it depends on the trials alone.

    Args:
        region: Where to search.
        initial: Random architectures before the first tree.
        height: Cuts between the root and a leaf, at most.
        exploration: The constant of the confidence bound, as a share of the range of scores.
        least: Samples of a leaf, at least.
        accepts: The constraint.
        seed: Of the draws.
    """

    def __init__(
        self,
        region: Region,
        *,
        initial: int,
        height: int,
        exploration: float,
        least: int,
        accepts: Callable[[Architecture], bool] = lambda architecture: True,
        seed: int | None = None,
    ) -> None:
        super().__init__(region, seed)
        self.initial, self.height, self.least = initial, height, least
        self.exploration = exploration
        self.accepts = accepts
        ends = itertools.accumulate(len(options) for options in region.allowed)
        self._starts = np.array([0, *ends])
        self._places: list[Sequence[int]] = []
        self._scores: list[float] = []
        self._seen: set[Architecture] = set()

    def learn(self, architecture: Architecture, goodness: float) -> None:
        self._places.append(self._place(architecture))
        self._scores.append(goodness)
        self._seen.add(self.region.space.canonical(architecture))

    def draw(self) -> Architecture:
        if len(self._scores) < max(self.initial, 2):
            return self._draw_within(()) or self.region.sample(self.rng)
        leaf = self.descend(self.grow())
        # Where a leaf has nothing new, what surrounds it may.
        for end in range(len(leaf.path), -1, -1):
            found = self._draw_within(leaf.path[:end], leaf.samples.tolist())
            if found is not None:
                return found
        return self.region.sample(self.rng)

    # -- the tree --------------------------------------------------------------------------------

    def grow(self) -> Node:
        """The tree over all trials."""
        scores = np.array(self._scores)
        finite = np.isfinite(scores)
        # A collapsed network has no finite score; it is as bad as the worst that has one.
        scores[~finite] = scores[finite].min() if finite.any() else 0.0
        return self._grow(np.array(self._places), scores, np.arange(len(scores)), ())

    def _grow(
        self,
        places: Places,
        scores: NDArray[np.float64],
        samples: NDArray[np.int64],
        path: tuple[HalfSpace, ...],
    ) -> Node:
        value = float(scores[samples].mean())
        if len(path) < self.height and len(samples) >= 2 * self.least:
            better = self._cut(places[samples], scores[samples])
            above = better.holds(places[samples])
            if min(above.sum(), (~above).sum()) >= self.least:
                other = HalfSpace(better.weights, better.bound, above=False)
                sides = ((above, better), (~above, other))
                children = (
                    self._grow(places, scores, samples[side], (*path, half)) for side, half in sides
                )
                return Node(samples, value, path, tuple(children))
        return Node(samples, value, path)

    def _cut(self, places: Places, scores: NDArray[np.float64]) -> HalfSpace:
        """Where a ridge regression predicts more than the mean of its predictions."""
        hot = np.zeros((len(places), self._starts[-1]))
        np.put_along_axis(hot, places, 1.0, axis=1)
        centred = hot - hot.mean(0)
        gram = centred.T @ centred
        gram[np.diag_indices_from(gram)] += RIDGE
        weights = np.linalg.solve(gram, centred.T @ (scores - scores.mean()))
        return HalfSpace(weights, float((hot @ weights).mean()), above=True)

    def descend(self, root: Node) -> Node:
        """The leaf that is reached by the upper confidence bounds (UCT)."""
        finite = [score for score in self._scores if math.isfinite(score)]
        width = self.exploration * (max(finite) - min(finite)) if finite else 0.0
        node = root
        while node.children:
            spread = math.log(len(node.samples))

            def bound(child: Node, spread: float = spread) -> float:
                return child.value + 2 * width * math.sqrt(2 * spread / len(child.samples))

            node = max(node.children, key=bound)
        return node

    # -- the next architecture -------------------------------------------------------------------

    def _draw_within(
        self, path: Sequence[HalfSpace], samples: Sequence[int] = ()
    ) -> Architecture | None:
        """A new architecture for which all of the path holds; None: none was found."""
        if self.region.box_size() <= ENUMERABLE:
            return self._draw_listed(path)
        for architecture in self._candidates(path, samples):
            if self._is_new(architecture) and self.accepts(architecture):
                return architecture
        return None

    def _draw_listed(self, path: Sequence[HalfSpace]) -> Architecture | None:
        members, places, left = self._listed
        inside = np.flatnonzero(left)
        for half in path:
            inside = inside[half.holds(places[inside])]
        found = inside.tolist()
        while found:
            at = self.rng.randrange(len(found))
            found[at], found[-1] = found[-1], found[at]
            number = found.pop()
            if self._is_new(members[number]) and self.accepts(members[number]):
                return members[number]
            left[number] = False  # for good: a trial stays told, and the constraint as it is
        return None

    @cached_property
    def _listed(self) -> tuple[list[Architecture], Places, NDArray[np.bool_]]:
        """The whole region, its codes, and which of it may be proposed."""
        members = list(self.region.enumerate())
        places = np.array([self._place(member) for member in members])
        return members, places, np.ones(len(members), dtype=bool)

    def _candidates(
        self, path: Sequence[HalfSpace], samples: Sequence[int]
    ) -> Iterator[Architecture]:
        """Architectures within the path: random ones, then a walk from one of its samples.

        The walk is a Metropolis chain that changes one decision at a time and never leaves the
        path, so that all it can reach are equally likely in the long run.
        """
        for _ in range(REJECTIONS):
            architecture = self.region.sample(self.rng)
            if self._inside(path, self._place(architecture)):
                yield architecture
        if not samples:
            return
        at = list(self._places[self.rng.choice(samples)])
        free = [number for number, options in enumerate(self.region.allowed) if len(options) > 1]
        for _ in range(SWEEPS):
            for number in free:
                moved = list(at)
                count = len(self.region.allowed[number])
                moved[number] = int(self._starts[number]) + self.rng.randrange(count)
                if self._inside(path, moved) and self.region.contains(self._at(moved)):
                    at = moved
            yield self._at(at)

    def _inside(self, path: Sequence[HalfSpace], places: Sequence[int]) -> bool:
        row = np.array([places])
        return all(half.holds(row)[0] for half in path)

    def _place(self, architecture: Architecture) -> list[int]:
        encoded: list[int] = (self._starts[:-1] + self.region.encode(architecture)).tolist()
        return encoded

    def _at(self, places: Sequence[int]) -> Architecture:
        chosen = zip(self.region.allowed, places, self._starts.tolist(), strict=False)
        choices = tuple(options[place - start] for options, place, start in chosen)
        return Architecture(self.region.space.name, choices)

    def _is_new(self, architecture: Architecture) -> bool:
        return self.region.space.canonical(architecture) not in self._seen
