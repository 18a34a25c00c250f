"""The parts of mobile networks that are timed by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from fewshot_core.costs.latency import NetworkParts, Part
from fewshot_core.data import ImageShape
from fewshot_tasks.imagenet.build import timm_network
from fewshot_tasks.imagenet.skeleton import Block
from fewshot_tasks.imagenet.space import MobileSpace, slot_name


class _Without(nn.Module):
    """A timm model whose stages are what is given: stem and head with nothing between.

    Args:
        model: The model of timm; its own stages are dropped.
        before, after: The stages in front of the units and behind them.
        shape: Channels, height and width of what the last reads.
    """

    def __init__(
        self,
        model: Any,
        before: Sequence[nn.Module],
        after: Sequence[nn.Module],
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.model, self.shape = model, shape
        self.before, self.after = nn.Sequential(*before), nn.Sequential(*after)
        self.model.blocks = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(self.model.bn1(self.model.conv_stem(x)))
        # The head reads another number of channels and pixels than the first block gives.
        x = self.after(x.new_zeros(len(x), *self.shape))
        if hasattr(self.model, "bn2"):
            x = self.model.bn2(self.model.conv_head(x))
        logits: Tensor = self.model.forward_head(x)
        return logits


def network_parts(space: MobileSpace, shape: ImageShape) -> NetworkParts:
    """Stem and head together, and every block of every slot."""
    skeleton = space.skeleton
    size = _stride_size(shape.image_size, skeleton.stem_stride)
    options: dict[str, dict[Block, Part]] = {}
    width = skeleton.width
    slots = space.every_slot()
    for u, (unit, places) in enumerate(zip(skeleton.units, slots, strict=True)):
        smaller = _stride_size(size, unit.stride)
        for s, blocks in enumerate(places):
            before, pixels = (width, size) if s == 0 else (unit.width, smaller)
            options[slot_name(u, s)] = {
                block: Part(
                    (u, s == 0, block),
                    partial(_block, space, shape, u, s == 0, block),
                    (before, pixels, pixels),
                )
                for block in blocks
            }
        width, size = unit.width, smaller
    around = Part("around", lambda: _around(space, shape, width, size), shape.input_size)
    return NetworkParts((around,), options)


def _shallow(space: MobileSpace, chosen: Sequence[Block], depth: int) -> list[list[str]]:
    units = [
        [unit.block(block, first=slot == 0) for slot in range(min(depth, unit.slots))]
        for unit, block in zip(space.skeleton.units, chosen, strict=True)
    ]
    return space.skeleton.stages(units)


def _block(
    space: MobileSpace, shape: ImageShape, unit: int, first: bool, block: Block
) -> nn.Module:
    blocks = [block] * len(space.skeleton.units)
    model: Any = timm_network(space.skeleton, _shallow(space, blocks, 2), shape)
    part: nn.Module = model.blocks[len(space.skeleton.before) + unit][0 if first else 1]
    return part


def _around(space: MobileSpace, shape: ImageShape, width: int, size: int) -> nn.Module:
    model: Any = timm_network(
        space.skeleton, _shallow(space, [Block(3, 1)] * len(space.skeleton.units), 1), shape
    )
    stages, start = list(model.blocks), len(space.skeleton.before)
    end = start + len(space.skeleton.units)
    return _Without(model, stages[:start], stages[end:], (width, size, size))


def _stride_size(size: int, stride: int) -> int:
    return -(-size // stride)
