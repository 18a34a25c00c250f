"""What became of pretrained weights that were loaded into a supernet, or into a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WeightsReport:
    """Every tensor of a module, and every one of the weights, accounted for.

    Attributes:
        copied: Whole tensors: the name in the module and the one in the weights.
        sliced: Leading channels of a tensor there, likewise.
        derived: Kernels that were worked out of a larger one and its matrices, likewise.
        left: Names in the module that kept their initial values.
        unread: Names in the weights that nothing was taken from.
        grown: Tensors that a smaller one is a part of; the rest adds nothing at first.
    """

    copied: Mapping[str, str]
    sliced: Mapping[str, str]
    derived: Mapping[str, str]
    left: tuple[str, ...]
    unread: tuple[str, ...]
    grown: Mapping[str, str] = field(default_factory=dict)

    @property
    def renamed(self) -> int:
        """How many tensors have another name in the weights."""
        every = (self.copied, self.sliced, self.derived, self.grown)
        return sum(mine != theirs for pairs in every for mine, theirs in pairs.items())

    def to_json(self) -> dict[str, Any]:
        """All names."""
        return {
            "copied": dict(self.copied),
            "sliced": dict(self.sliced),
            "derived": dict(self.derived),
            **({"grown": dict(self.grown)} if self.grown else {}),
            "left": list(self.left),
            "unread": list(self.unread),
        }

    def __str__(self) -> str:
        grown = f", {len(self.grown)} grown" if self.grown else ""
        return (
            f"{len(self.copied)} copied, {len(self.sliced)} sliced, {len(self.derived)} derived"
            f"{grown} ({self.renamed} renamed), {len(self.left)} left, {len(self.unread)} unread"
        )
