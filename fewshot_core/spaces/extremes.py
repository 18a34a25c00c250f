"""Architectures at the end of a scale, or near a value on it, in spaces of any size."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, Option

Value = Callable[[Architecture], float]


def extreme(region: Region, value: Value, start: Architecture | None = None) -> Architecture:
    """An architecture of the region with the largest value, found decision by decision.

    Each decision in turn gets its best option given all others, until none can be improved. That is
    the largest value where decisions add up, and where one decides how many others count (a depth).

    Args:
        region: The region.
        value: Finite, of an architecture.
        start: Where to begin; it matters where the answer depends on the order of decisions.

    Raises:
        RegionError: The region is empty, or so rare that rejection finds nothing.
    """
    return _climb(region, start or region.sample(random.Random(0)), value)


def descend(region: Region, start: Architecture, excess: Value, rng: random.Random) -> Architecture:
    """An architecture of the region without excess, by changes of single decisions of ``start``.

    Changes are tried in random order and the first that helps is kept, so that what comes out stays
    near where it began.

    Args:
        region: The region.
        start: An architecture of it.
        excess: What is to become 0, and is never negative.
        rng: Orders the changes.

    Returns:
        It ends at the first without excess; or, if no change helps any more, at one with some.
    """
    current, left = start, excess(start)
    while left > 0:
        for candidate in _neighbours(region, current, rng):
            value = excess(candidate)
            if value < left:
                current, left = candidate, value
                break
        else:
            return current
    return current


def _climb(region: Region, start: Architecture, value: Value) -> Architecture:
    current, best = start, value(start)
    improved = True
    while improved:
        improved = False
        for place, options in enumerate(region.allowed):
            for option in options:
                candidate = _change(current, place, option)
                if option == current.choices[place] or not region.contains(candidate):
                    continue
                found = value(candidate)
                if found > best:
                    current, best, improved = candidate, found, True
    return current


def _neighbours(
    region: Region, architecture: Architecture, rng: random.Random
) -> Iterator[Architecture]:
    changes = [
        (place, option)
        for place, options in enumerate(region.allowed)
        for option in options
        if option != architecture.choices[place]
    ]
    rng.shuffle(changes)
    for place, option in changes:
        candidate = _change(architecture, place, option)
        if region.contains(candidate):
            yield candidate


def _change(architecture: Architecture, place: int, option: Option) -> Architecture:
    choices = (*architecture.choices[:place], option, *architecture.choices[place + 1 :])
    return Architecture(architecture.space, choices)
