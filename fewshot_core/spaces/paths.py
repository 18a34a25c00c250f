"""Path policies: which architectures a training step uses.

A policy is a pure function of its random generator. The training loop seeds one per step, alike on
every process, so that a resumed or distributed run takes the same paths.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from fewshot_core.errors import RegionError
from fewshot_core.recipe.schema import PathSettings
from fewshot_core.spaces.extremes import descended, extreme
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture, Option

POOL = 20_000
"""Random architectures that stand for a region too large to enumerate."""

NEAR = 0.02
"""How near to the cost that was drawn an architecture has to be, as a share of it."""

Cost = Callable[[Architecture], float]


class PathPolicy(Protocol):
    """Picks the architectures of a training step."""

    @property
    def paths_per_step(self) -> int:
        """Number of architectures of a step; their gradients are accumulated."""

    def draw(self, rng: random.Random) -> list[Architecture]:
        """The architectures of one step, ``paths_per_step`` of them."""


class SpreadPolicy(PathPolicy, Protocol):
    """A policy that can draw architectures for the parts of one batch."""

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        """``count`` architectures for one batch, spread as evenly as the policy can.

        Each of them by itself is distributed as one that :meth:`draw` gives.
        """


@dataclass(frozen=True)
class PathBatches:
    """Paths for batches in parts: ``count`` architectures a step, each on its own part.

    Raises:
        RegionError: Fair paths cannot use each option equally often in so many architectures.
    """

    policy: SpreadPolicy
    count: int
    paths_per_step: int = 1  # an image is seen by one architecture

    def __post_init__(self) -> None:
        if isinstance(self.policy, FairPaths) and self.count % self.policy.paths_per_step:
            raise RegionError(
                "fair paths use every option equally often",
                found=f"paths.together={self.count}, {self.policy.paths_per_step} options",
                fix=f"make it a multiple of {self.policy.paths_per_step}, or use paths=uniform",
            )

    def draw(self, rng: random.Random) -> list[Architecture]:
        return self.policy.draw_together(rng, self.count)


@dataclass(frozen=True)
class UniformPaths:
    """One architecture a step, uniformly at random (single path one-shot, Guo et al. 2020).

    Of several at once, every option of a decision is taken equally often, give or take one.
    """

    region: Region
    paths_per_step: int = 1

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [self.region.sample(rng)]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        if self.region.bands:  # which permutations do not respect
            return [self.region.sample(rng) for _ in range(count)]
        return _even(self.region, count, rng)


@dataclass(frozen=True)
class FairPaths:
    """Every option of every decision in each step (strict fairness, FairNAS, Chu et al. 2021).

    Each decision runs through a random permutation of its options; a decision with fewer options
    than the largest starts over, so that its options are used equally often give or take one.

    Raises:
        RegionError: The region has bands, which permutations cannot respect.
    """

    region: Region

    def __post_init__(self) -> None:
        if self.region.bands:
            raise RegionError(
                f"fair paths need a region without bands, not {self.region.id!r}",
                fix="use regions.paths=uniform or regions.paths=balanced",
            )

    @property
    def paths_per_step(self) -> int:
        return max(len(options) for options in self.region.allowed)

    def draw(self, rng: random.Random) -> list[Architecture]:
        return _even(self.region, self.paths_per_step, rng)

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        return _even(self.region, count, rng)


def _even(region: Region, count: int, rng: random.Random) -> list[Architecture]:
    """Architectures that use the options of every decision equally often, give or take one."""

    def column(options: Sequence[Option]) -> list[Option]:
        drawn: list[Option] = []
        while len(drawn) < count:
            drawn += rng.sample(list(options), len(options))
        return drawn[:count]

    columns = [column(options) for options in region.allowed]
    return [Architecture(region.space.name, choices) for choices in zip(*columns, strict=True)]


@dataclass(frozen=True)
class BalancedPaths:
    """Every value of a feature equally often, then uniform among the architectures that have it.

    Uniform paths meet mostly middling architectures; the extremes, where the best ones often are,
    train seldom. (The idea of balanced sampling in EFS-NAS, AAAI 2025.)
    """

    region: Region
    feature: str
    paths_per_step: int = field(default=1)

    @cached_property
    def _by_value(self) -> list[list[Architecture]]:
        if self.region.box_size() <= ENUMERABLE:
            members = list(self.region.enumerate())
        else:
            rng = random.Random(0)
            members = [self.region.sample(rng) for _ in range(POOL)]
        groups: dict[float, list[Architecture]] = {}
        for architecture in members:
            value = self.region.space.feature(self.feature, architecture)
            groups.setdefault(value, []).append(architecture)
        if not groups:
            raise RegionError(f"region {self.region.id!r} holds no architecture")
        return [groups[value] for value in sorted(groups)]

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [rng.choice(rng.choice(self._by_value))]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        groups = self._by_value
        values: list[int] = []
        while len(values) < count:
            values += rng.sample(range(len(groups)), len(groups))
        return [rng.choice(groups[value]) for value in values[:count]]


@dataclass(frozen=True)
class SandwichPaths:
    """The largest architecture first, the smallest last, random ones between (BigNAS, Yu et al.
    2020, section 3.1).

    Between the two ends every other architecture is better than the one and worse than the other,
    so that training both moves all. An objective may let the first teach the others.
    """

    region: Region
    cost: Cost
    paths_per_step: int = 4

    @cached_property
    def ends(self) -> tuple[Architecture, Architecture]:
        """The largest and the smallest architecture of the region, by cost."""
        largest = extreme(self.region, self.cost)
        return largest, extreme(self.region, lambda architecture: -self.cost(architecture))

    def draw(self, rng: random.Random) -> list[Architecture]:
        largest, smallest = self.ends
        between = [self.region.sample(rng) for _ in range(self.paths_per_step - 2)]
        return [largest, *between, smallest]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        raise RegionError(
            "sandwich paths train every architecture on the whole batch", fix="paths.together=1"
        )


@dataclass(frozen=True)
class CostPaths:
    """A cost is drawn evenly, then an architecture near it (after AttentiveNAS, CVPR 2021).

    Uniform paths have nearly all the same cost: in the ProxylessNAS space 3 in 100 have less than
    300 million multiply-adds, of at most 607 and at least 103. The architecture is a random one,
    changed decision by decision until its cost is near.

    Args:
        region: Where.
        cost: Of an architecture.
        low: The range of costs, in units of ``cost``; None: up to the end of the region's.
        high: The same for its upper end.
    """

    region: Region
    cost: Cost
    low: float | None = None
    high: float | None = None
    paths_per_step: int = field(default=1)

    @cached_property
    def range(self) -> tuple[float, float]:
        """The costs that are drawn from.

        Raises:
            RegionError: No architecture of the region is in the range that was asked for.
        """
        least = self.cost(extreme(self.region, lambda architecture: -self.cost(architecture)))
        most = self.cost(extreme(self.region, self.cost))
        low = least if self.low is None else max(least, self.low)
        high = most if self.high is None else min(most, self.high)
        if low > high:
            raise RegionError(
                f"no architecture of region {self.region.id!r} has such a cost",
                found=f"costs from {least:,.0f} to {most:,.0f}",
                fix="widen paths.low and paths.high",
            )
        return low, high

    def draw(self, rng: random.Random) -> list[Architecture]:
        return [self._near(rng.uniform(*self.range), rng)]

    def draw_together(self, rng: random.Random, count: int) -> list[Architecture]:
        low, high = self.range  # in as many equal parts as there are architectures
        shares = [(part + rng.random()) / count for part in rng.sample(range(count), count)]
        return [self._near(low + share * (high - low), rng) for share in shares]

    def _near(self, target: float, rng: random.Random) -> Architecture:
        start = self.region.sample(rng)

        def excess(architecture: Architecture) -> float:
            return max(0.0, abs(self.cost(architecture) / target - 1) - NEAR)

        return descended(self.region, start, excess, rng)


def make_paths(settings: PathSettings, region: Region, cost: Cost | None = None) -> PathPolicy:
    """The policy that a recipe's section describes, over a region.

    Args:
        settings: The section.
        region: Where.
        cost: Of an architecture, for policies that look at it.

    Raises:
        RegionError: The policy does not go with the region, or is unknown.
    """
    policy = _policy(settings, region, cost)
    return policy if settings.together == 1 else PathBatches(policy, settings.together)


def _policy(settings: PathSettings, region: Region, cost: Cost | None) -> SpreadPolicy:
    if settings.policy == "uniform":
        return UniformPaths(region)
    if settings.policy == "fair":
        return FairPaths(region)
    if settings.policy == "balanced":
        return BalancedPaths(region, settings.feature)
    if settings.policy in ("sandwich", "cost"):
        if cost is None:
            raise ValueError(f"{settings.policy} paths need a cost")
        if settings.policy == "sandwich":
            return SandwichPaths(region, cost, settings.count)
        return CostPaths(region, cost, settings.low, settings.high)
    raise RegionError(
        f"unknown paths {settings.policy!r}", allowed="uniform, fair, balanced, sandwich, cost"
    )
