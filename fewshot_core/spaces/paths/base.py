"""What every path policy does, and what it is made from.

A policy is a pure function of its random generator. The training loop seeds one per step, alike on
every process, so that a resumed or distributed run takes the same paths.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, Option

Cost = Callable[[Architecture], float]

POLICY = "which policy: {names}"
"""The help text of the field that names a policy."""


@dataclass(frozen=True)
class PathsContext:
    """What a policy is made from, beside its settings.

    Attributes:
        region: Where to draw.
        cost: The cost of an architecture, for policies that look at it.
    """

    region: Region
    cost: Cost


class PathPolicy(Protocol):
    """Picks the architectures of a training step."""

    @property
    def paths_per_step(self) -> int:
        """Number of architectures of a step; their gradients are accumulated."""

    def draw(self, rng: random.Random) -> list[Architecture]:
        """The architectures of one step, ``paths_per_step`` of them."""


class Paths(ABC):
    """A path policy of a recipe."""

    paths_per_step: int = 1

    @abstractmethod
    def draw(self, rng: random.Random) -> list[Architecture]:
        """The architectures of one step, ``paths_per_step`` of them."""

    def check(self) -> None:
        """Find out before the first step whether there is anything to draw.

        Raises:
            FewshotError: There is not; a policy that may lack something says what.
        """
        return


class SpanningPaths(Paths):
    """A policy that can draw architectures for the parts of one batch."""

    @abstractmethod
    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        """``count`` architectures for one batch, spread as evenly as the policy can.

        Each of them by itself is distributed as one that :meth:`draw` gives.
        """


@dataclass(frozen=True)
class PathBatches(Paths):
    """Paths for batches in parts: ``count`` architectures a step, each on its own part."""

    policy: SpanningPaths
    count: int
    paths_per_step: int = 1  # an image is seen by one architecture

    def draw(self, rng: random.Random) -> list[Architecture]:
        return self.policy.draw_together(rng, self.count)

    def check(self) -> None:
        self.policy.check()


def draw_evenly(region: Region, count: int, rng: random.Random) -> list[Architecture]:
    """Architectures that use the options of every decision equally often, give or take one.

    Args:
        region: The region; its bands are not heeded.
        count: How many.
        rng: Draws.
    """

    def column(options: Sequence[Option]) -> list[Option]:
        drawn: list[Option] = []
        while len(drawn) < count:
            drawn += rng.sample(list(options), len(options))
        return drawn[:count]

    columns = [column(options) for options in region.allowed]
    return [Architecture(region.space.name, choices) for choices in zip(*columns, strict=True)]
