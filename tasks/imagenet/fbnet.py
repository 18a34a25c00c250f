"""The space of FBNet (Wu et al., CVPR 2019); stdlib alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewshot_core.spaces.space import Decision
from fewshot_tasks.imagenet.skeleton import Skeleton, fbnet_skeleton
from fewshot_tasks.imagenet.space import SKIP, OperationSpace, slot_name

FBNET = ("k3e1", "k3e1g2", "k3e3", "k3e6", "k5e1", "k5e1g2", "k5e3", "k5e6", SKIP)
"""What a block of FBNet may be: ``g2`` has two groups of channels, which are shuffled before."""


@dataclass(frozen=True)
class FbnetSpace(OperationSpace):
    """FBNet (Wu et al., CVPR 2019): blocks with and without expansion, and groups of channels.

    A block that changes width or resolution cannot be skipped. The first unit, of one block, may do
    neither, and then be left out.
    """

    def may_be_empty(self, unit: int) -> bool:
        return unit == 0 and self.skeleton.keeps_shape(0)

    def _fill_up(self, arch_def: Sequence[Sequence[str]], fixed: int) -> Sequence[Sequence[str]]:
        missing = len(self.skeleton.units) + fixed - len(arch_def)
        if missing != 1 or not self.may_be_empty(0):
            return arch_def
        start = len(self.skeleton.before)
        return [*arch_def[:start], [], *arch_def[start:]]


def fbnet(skeleton: Skeleton | None = None, *, image_size: int | None = None) -> FbnetSpace:
    """The space of FBNet: 9^16 x 8^6 = 4.9e20 architectures."""
    skeleton = skeleton or fbnet_skeleton()
    decisions = [
        Decision(
            slot_name(u, slot),
            FBNET if slot or (u == 0 and skeleton.keeps_shape(u)) else FBNET[:-1],
        )
        for u, unit in enumerate(skeleton.units)
        for slot in range(unit.slots)
    ]
    return FbnetSpace("fbnet", tuple(decisions), skeleton, image_size)
