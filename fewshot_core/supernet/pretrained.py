"""What became of pretrained weights that were loaded into a supernet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WeightsReport:
    """Every tensor of a supernet, and every one of the weights, accounted for.

    Attributes:
        copied: Whole tensors: the name in the supernet and the one in the weights.
        sliced: Leading channels of a tensor there, likewise.
        derived: Kernels that were worked out of a larger one and its matrices, likewise.
        left: Names in the supernet that kept their initial values.
        unread: Names in the weights that nothing was taken from.
    """

    copied: Mapping[str, str]
    sliced: Mapping[str, str]
    derived: Mapping[str, str]
    left: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def renamed(self) -> int:
        """How many tensors have another name in the weights."""
        pairs = (*self.copied.items(), *self.sliced.items(), *self.derived.items())
        return sum(mine != theirs for mine, theirs in pairs)

    def to_json(self) -> dict[str, Any]:
        """All names."""
        return {
            "copied": dict(self.copied),
            "sliced": dict(self.sliced),
            "derived": dict(self.derived),
            "left": list(self.left),
            "unread": list(self.unread),
        }

    def __str__(self) -> str:
        return (
            f"{len(self.copied)} copied, {len(self.sliced)} sliced, {len(self.derived)} derived "
            f"({self.renamed} renamed), {len(self.left)} left, {len(self.unread)} unread"
        )
