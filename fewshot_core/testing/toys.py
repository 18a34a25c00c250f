"""A space that is small enough to check everything about it by enumeration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fewshot_core.spaces.space import Architecture, Decision, Feature, SearchSpace


@dataclass(frozen=True)
class ToySpace(SearchSpace):
    """Integers whose sum is a feature; architectures with one sum can be told apart by their id."""

    def features(self) -> Mapping[str, Feature]:
        return {"sum": total}


def total(architecture: Architecture) -> float:
    """Sum of the choices."""
    return float(sum(int(choice) for choice in architecture.choices))


def toy_space(*sizes: int) -> ToySpace:
    """A space with decisions ``a``, ``b``, ... of so many options each: 0, 1, 2, ...

    By default (3, 3, 4): 36 architectures.
    """
    sizes = sizes or (3, 3, 4)
    names = "abcdefghijklmnopqrstuvwxyz"
    decisions = tuple(
        Decision(names[i] if i < len(names) else f"d{i}", tuple(range(size)))
        for i, size in enumerate(sizes)
    )
    return ToySpace(f"toy{'x'.join(map(str, sizes))}", decisions)
