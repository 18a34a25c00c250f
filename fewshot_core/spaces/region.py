"""Parts of a space: regions, partitions, and the tree that repeated splitting makes."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fewshot_core.errors import RegionError
from fewshot_core.spaces.space import RANDOM_FEATURE, Architecture, Option, SearchSpace

ENUMERABLE = 200_000
"""Regions whose product of options is at most this are enumerated where that gives exactness."""

REJECTIONS = 100_000
"""Draws from the product of options before a banded region counts as unreachable."""


@dataclass(frozen=True, slots=True)
class Band:
    """A half-open interval ``low <= feature(architecture) < high``."""

    feature: str
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value < self.high


@dataclass(frozen=True)
class Region:
    """A restricted part of a space: allowed options per decision, and bands of features.

    Attributes:
        space: The space it belongs to.
        allowed: For each decision, its allowed options in the order of the decision.
        bands: Bands that all have to hold; at most one per feature.
    """

    space: SearchSpace
    allowed: tuple[tuple[Option, ...], ...]
    bands: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        if len(self.allowed) != len(self.space.decisions):
            raise RegionError("a region needs allowed options for every decision")
        for decision, options in zip(self.space.decisions, self.allowed, strict=True):
            if not options or tuple(o for o in decision.options if o in options) != options:
                raise RegionError(
                    f"bad options for decision {decision.name!r}",
                    found=list(options),
                    allowed=f"some of {list(decision.options)}, in this order, at least one",
                )
        if len({band.feature for band in self.bands}) != len(self.bands):
            raise RegionError("a region has at most one band per feature")

    @classmethod
    def root(cls, space: SearchSpace) -> Region:
        """The region that is the whole space."""
        return cls(space, tuple(decision.options for decision in space.decisions))

    @property
    def id(self) -> str:
        """A short, stable, readable name, also used for files: ``edge_1_0=none`` or ``root``."""
        parts = []
        for decision, options in zip(self.space.decisions, self.allowed, strict=True):
            if options != decision.options:
                parts.append(f"{decision.name}={'+'.join(map(str, options))}")
        for band in self.bands:
            feature = band.feature.removeprefix(RANDOM_FEATURE)
            name = "random" if feature != band.feature else feature
            parts.append(f"{name}={_number(band.low)}to{_number(band.high)}")
        return ",".join(parts) or "root"

    def options(self, decision: str) -> tuple[Option, ...]:
        """Allowed options of a decision."""
        return self.allowed[self.space.position(decision)]

    def box_size(self) -> int:
        """Number of architectures before bands are applied."""
        return math.prod(len(options) for options in self.allowed)

    @cached_property
    def _members(self) -> tuple[Architecture, ...]:
        return tuple(a for a in self._box() if self._in_bands(a))

    def size(self) -> int | None:
        """Number of architectures; None where bands make it too costly to count."""
        if not self.bands:
            return self.box_size()
        return len(self._members) if self.box_size() <= ENUMERABLE else None

    def _box(self) -> Iterator[Architecture]:
        for choices in itertools.product(*self.allowed):
            yield Architecture(self.space.name, choices)

    def _in_bands(self, architecture: Architecture) -> bool:
        return all(self.space.feature(b.feature, architecture) in b for b in self.bands)

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures of the region, in the order of the space."""
        if self.box_size() <= ENUMERABLE:
            return iter(self._members)
        return (a for a in self._box() if self._in_bands(a))

    @cached_property
    def _allowed_sets(self) -> tuple[frozenset[Option], ...]:
        return tuple(frozenset(options) for options in self.allowed)

    def contains(self, architecture: Architecture) -> bool:
        """Whether the architecture lies in the region."""
        return (
            architecture.space == self.space.name
            and len(architecture.choices) == len(self.allowed)
            and all(c in s for c, s in zip(architecture.choices, self._allowed_sets, strict=True))
            and self._in_bands(architecture)
        )

    def require(self, architecture: Architecture) -> None:
        """Raise a :class:`RegionError` unless the architecture lies in the region."""
        if not self.contains(architecture):
            raise RegionError(
                f"architecture {architecture.id} ({list(architecture.choices)}) is not in "
                f"region {self.id!r} of space {self.space.name!r}"
            )

    def encode(self, architecture: Architecture) -> tuple[int, ...]:
        """The place of every choice among the allowed options of its decision, from 0 on."""
        pairs = zip(self.allowed, architecture.choices, strict=True)
        return tuple(options.index(choice) for options, choice in pairs)

    def sample(self, rng: random.Random) -> Architecture:
        """An architecture of the region, each with the same probability.

        Raises:
            RegionError: The region is empty, or so rare that rejection finds nothing.
        """
        if self.bands and self.box_size() <= ENUMERABLE:
            if not self._members:
                raise RegionError(f"region {self.id!r} holds no architecture")
            return rng.choice(self._members)
        for _ in range(REJECTIONS if self.bands else 1):
            choices = tuple(rng.choice(options) for options in self.allowed)
            architecture = Architecture(self.space.name, choices)
            if self._in_bands(architecture):
                return architecture
        raise RegionError(
            f"no architecture of region {self.id!r} among {REJECTIONS} random ones",
            fix="widen its bands",
        )

    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture:
        """Change one decision within the region; the architecture itself where nothing can change.

        Neighbours are tried in random order, so the call ends even in a region of one.
        """
        neighbours = [
            (place, option)
            for place, options in enumerate(self.allowed)
            for option in options
            if option != architecture.choices[place]
        ]
        # Decisions with more options must not be changed more often: draw the decision first.
        by_place: dict[int, list[Option]] = {}
        for place, option in neighbours:
            by_place.setdefault(place, []).append(option)
        places = list(by_place)
        rng.shuffle(places)
        for place in places:
            options = by_place[place]
            rng.shuffle(options)
            for option in options:
                choices = list(architecture.choices)
                choices[place] = option
                candidate = Architecture(self.space.name, tuple(choices))
                if self._in_bands(candidate):
                    return candidate
        return architecture

    def reachable(self) -> tuple[frozenset[Option], ...]:
        """For each decision, the options that some architecture of the region really has.

        Exact where the region can be enumerated; otherwise the allowed options.
        """
        return self._reachable

    @cached_property
    def _reachable(self) -> tuple[frozenset[Option], ...]:
        if not self.bands or self.box_size() > ENUMERABLE:
            return self._allowed_sets
        used: list[set[Option]] = [set() for _ in self.allowed]
        for architecture in self._members:
            for options, choice in zip(used, architecture.choices, strict=True):
                options.add(choice)
        return tuple(frozenset(options) for options in used)

    def restrict(self, decision: str, options: tuple[Option, ...]) -> Region:
        """The part in which a decision has one of these options.

        Raises:
            RegionError: An option is not allowed here.
        """
        place = self.space.position(decision)
        unknown = [option for option in options if option not in self.allowed[place]]
        if unknown or not options:
            raise RegionError(
                f"decision {decision!r} has no option {unknown} in region {self.id!r}",
                allowed=list(self.allowed[place]),
            )
        ordered = tuple(option for option in self.allowed[place] if option in options)
        allowed = (*self.allowed[:place], ordered, *self.allowed[place + 1 :])
        return Region(self.space, allowed, self.bands)

    def band(self, feature: str, low: float, high: float) -> Region:
        """The part in which ``low <= feature < high``, inside any band that already holds."""
        kept = [band for band in self.bands if band.feature != feature]
        for band in self.bands:
            if band.feature == feature:
                low, high = max(low, band.low), min(high, band.high)
        return Region(self.space, self.allowed, (*kept, Band(feature, low, high)))

    def to_json(self) -> dict[str, Any]:
        """A JSON value; infinite ends of a band are null."""
        return {
            "id": self.id,
            "allowed": {
                d.name: list(options)
                for d, options in zip(self.space.decisions, self.allowed, strict=True)
            },
            "bands": [
                {"feature": b.feature, "low": _finite(b.low), "high": _finite(b.high)}
                for b in self.bands
            ],
        }

    @classmethod
    def from_json(cls, space: SearchSpace, value: Mapping[str, Any]) -> Region:
        """Read what :meth:`to_json` wrote.

        Raises:
            RegionError: The value does not describe a region of the space.
        """
        try:
            allowed = tuple(tuple(value["allowed"][d.name]) for d in space.decisions)
            bands = tuple(
                Band(
                    b["feature"],
                    -math.inf if b["low"] is None else float(b["low"]),
                    math.inf if b["high"] is None else float(b["high"]),
                )
                for b in value["bands"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RegionError(f"not a region of space {space.name!r}: {error!r}") from None
        return cls(space, allowed, bands)


@dataclass(frozen=True)
class Partition:
    """Disjoint regions that cover their parent exactly; building one proves it.

    The proof is symbolic: seen as boxes over decisions and elementary intervals of the banded
    features, the regions are pairwise disjoint, lie in the parent, and their volumes add up to the
    parent's. This needs no enumeration, so it holds for spaces of any size. Partitions for which
    it fails (bands that hold for no architecture) are proved by enumeration where that is possible.

    Raises:
        RegionError: The regions do not form a partition, with an architecture that shows it where
            one is known.
    """

    parent: Region
    regions: tuple[Region, ...]

    def __post_init__(self) -> None:
        if not self.regions:
            raise RegionError("a partition needs at least one region")
        if any(region.space != self.parent.space for region in self.regions):
            raise RegionError("the regions of a partition belong to one space")
        if not _boxes_tile(self.parent, self.regions):
            self._prove_by_enumeration()

    def _prove_by_enumeration(self) -> None:
        if self.parent.box_size() > ENUMERABLE:
            raise RegionError("these regions could not be proved to be disjoint and to cover")
        for region in self.regions:
            for architecture in region.enumerate():
                if not self.parent.contains(architecture):
                    raise RegionError(
                        f"region {region.id!r} leaves its parent {self.parent.id!r}",
                        found=list(architecture.choices),
                    )
        for architecture in self.parent.enumerate():
            owners = [region.id for region in self.regions if region.contains(architecture)]
            if len(owners) != 1:
                raise RegionError(
                    f"architecture {list(architecture.choices)} lies in {len(owners)} regions",
                    found=owners or "none",
                    allowed="exactly one",
                )

    def locate(self, architecture: Architecture) -> Region:
        """The region that contains the architecture.

        Raises:
            RegionError: The architecture is not in the parent.
        """
        for region in self.regions:
            if region.contains(architecture):
                return region
        self.parent.require(architecture)
        raise AssertionError("a partition covers its parent")

    def to_json(self) -> dict[str, Any]:
        """A JSON value with the parent and its regions."""
        return {
            "parent": self.parent.to_json(),
            "regions": [region.to_json() for region in self.regions],
        }

    @classmethod
    def from_json(cls, space: SearchSpace, value: Mapping[str, Any]) -> Partition:
        """Read what :meth:`to_json` wrote, proving it again."""
        try:
            parent, regions = value["parent"], value["regions"]
        except (KeyError, TypeError):
            raise RegionError("not a partition", found=json.dumps(value)[:80]) from None
        return cls(
            Region.from_json(space, parent), tuple(Region.from_json(space, r) for r in regions)
        )


@dataclass(frozen=True)
class RegionTree:
    """A region and how it is cut further; the leaves are what an architecture is scored by."""

    region: Region
    partition: Partition | None = None
    children: tuple[RegionTree, ...] = ()

    def __post_init__(self) -> None:
        cut = self.partition.regions if self.partition else ()
        if tuple(child.region for child in self.children) != cut:
            raise RegionError("the children of a tree are the regions of its partition")

    def grow(self, split: Callable[[Region], Partition]) -> RegionTree:
        """Cut every leaf with ``split``."""
        if self.children:
            grown = tuple(child.grow(split) for child in self.children)
            return RegionTree(self.region, self.partition, grown)
        partition = split(self.region)
        if len(partition.regions) == 1:
            return self
        return RegionTree(self.region, partition, tuple(RegionTree(r) for r in partition.regions))

    def walk(self, parent: Region | None = None) -> Iterator[tuple[Region, Region | None]]:
        """Every region with the one it inherits from, parents first."""
        yield self.region, parent
        for child in self.children:
            yield from child.walk(self.region)

    def leaves(self) -> tuple[Region, ...]:
        """The regions that are not cut further."""
        if not self.children:
            return (self.region,)
        return tuple(leaf for child in self.children for leaf in child.leaves())

    def locate(self, architecture: Architecture) -> Region:
        """The leaf that contains the architecture."""
        if self.partition is None:
            self.region.require(architecture)
            return self.region
        region = self.partition.locate(architecture)
        child = self.children[self.partition.regions.index(region)]
        return child.locate(architecture)

    def to_json(self) -> dict[str, Any]:
        """A JSON value, nested as the tree is."""
        return {
            "region": self.region.to_json(),
            "size": self.region.size(),
            "children": [child.to_json() for child in self.children],
        }

    @classmethod
    def from_json(cls, space: SearchSpace, value: Mapping[str, Any]) -> RegionTree:
        """Read what :meth:`to_json` wrote, proving every partition again.

        Raises:
            RegionError: The value does not describe a tree over the space.
        """
        try:
            region = Region.from_json(space, value["region"])
            children = tuple(cls.from_json(space, child) for child in value["children"])
        except (KeyError, TypeError):
            raise RegionError("not a tree of regions", found=json.dumps(value)[:80]) from None
        cut = tuple(child.region for child in children)
        return cls(region, Partition(region, cut) if cut else None, children)


# -- the symbolic proof ------------------------------------------------------------------------


def _boxes_tile(parent: Region, regions: tuple[Region, ...]) -> bool:
    """Whether the regions tile the parent, read as boxes over options and feature intervals."""
    features = sorted({band.feature for r in (parent, *regions) for band in r.bands})
    axes = {
        feature: sorted(
            {-math.inf, math.inf}
            | {end for r in (parent, *regions) for end in _interval(r, feature)}
        )
        for feature in features
    }

    def box(region: Region) -> tuple[frozenset[Any], ...]:
        sides: list[frozenset[Any]] = [frozenset(options) for options in region.allowed]
        for feature in features:
            low, high = _interval(region, feature)
            sides.append(frozenset(end for end in axes[feature][:-1] if low <= end < high))
        return tuple(sides)

    outer, inner = box(parent), [box(region) for region in regions]
    inside = all(s <= o for sides in inner for s, o in zip(sides, outer, strict=True))
    disjoint = all(
        any(not (a & b) for a, b in zip(one, other, strict=True))
        for one, other in itertools.combinations(inner, 2)
    )
    volume = sum(math.prod(len(side) for side in sides) for sides in inner)
    return inside and disjoint and volume == math.prod(len(side) for side in outer)


def _interval(region: Region, feature: str) -> tuple[float, float]:
    for band in region.bands:
        if band.feature == feature:
            return band.low, band.high
    return -math.inf, math.inf


def _number(value: float) -> str:
    """In full, because regions whose FLOPs differ in the seventh digit must not share a name."""
    return f"{value:.0f}" if abs(value) < 1e15 and value == round(value) else repr(value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
