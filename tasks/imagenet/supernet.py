"""The supernet over a region of a mobile space.

Its slots hold timm's own blocks, of which an architecture uses a part (:class:`ElasticBlock`) or
one of several (:class:`ChoiceBlock`); everything around them is a timm model without its blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from fewshot_core.data import ImageShape
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.supernet.elastic import (
    ElasticKernel,
    leading,
    leading_norm,
    shrunk_kernel,
)
from fewshot_tasks.imagenet.build import timm_network
from fewshot_tasks.imagenet.skeleton import SE_RATIO, Block, Skeleton, round_width
from fewshot_tasks.imagenet.space import ElasticSpace, MobileSpace, operation_name

if TYPE_CHECKING:  # a module that timm does not promise to keep
    from timm.models._efficientnet_blocks import InvertedResidual, SqueezeExcite

DEPTHWISE = "conv_dw.weight"
TRANSFORMS = "kernels"


class ElasticBlock(nn.Module):
    """An inverted residual block with every kernel and expansion of a slot (OFA, section 3).

    Args:
        block: timm's block of the largest kernel and expansion; its layers are taken over.
        sizes: Kernel sizes from the smallest to the largest, with those that lie between.
        learned: Whether smaller kernels have learned transforms.
    """

    conv_pw: nn.Conv2d
    conv_dw: nn.Conv2d
    conv_pwl: nn.Conv2d
    bn1: nn.BatchNorm2d
    bn2: nn.BatchNorm2d
    bn3: nn.BatchNorm2d

    def __init__(self, block: InvertedResidual, sizes: Sequence[int], learned: bool) -> None:
        super().__init__()
        self.conv_pw, self.bn1 = block.conv_pw, block.bn1
        self.conv_dw, self.bn2 = block.conv_dw, block.bn2
        self.se: SqueezeExcite | nn.Identity = block.se
        self.conv_pwl, self.bn3 = block.conv_pwl, block.bn3
        self.kernels = ElasticKernel(sizes, learned)
        self.has_skip = bool(block.has_skip)

    def forward(self, x: Tensor, block: Block) -> Tensor:
        kernel = block.kernel
        wide = self._width(block)
        weight = self.kernels(self.conv_dw.weight[:wide], kernel)
        y = leading_norm(self.bn1, F.conv2d(x, self.conv_pw.weight[:wide]))
        stride = self.conv_dw.stride[0]
        y = F.conv2d(y, weight, None, stride, kernel // 2, 1, wide)
        y = leading_norm(self.bn2, y)
        if not isinstance(self.se, nn.Identity):
            y = y * self._gate(self.se, y)
        y = self.bn3(F.conv2d(y, self.conv_pwl.weight[:, :wide]))
        return y + x if self.has_skip else y

    def take(self, block: Block) -> Iterator[tuple[str, Tensor]]:
        """The tensors of timm's block that does the same, by their names there."""
        kernel = block.kernel
        wide = self._width(block)
        widths = {self.conv_pw.out_channels: wide}
        if not isinstance(self.se, nn.Identity):
            widths[self.se.conv_reduce.out_channels] = _squeeze_width(wide)
        for name, tensor in self.state_dict().items():
            if name.startswith(f"{TRANSFORMS}."):
                continue
            if name == DEPTHWISE:
                yield name, self.kernels(self.conv_dw.weight[:wide], kernel)
            elif name.startswith(("bn3.", "conv_pwl.")):
                yield name, tensor[:, :wide] if name == "conv_pwl.weight" else tensor
            elif name.startswith("se."):
                yield name, self._squeeze_part(name, tensor, wide)
            else:
                yield name, tensor[:wide] if tensor.ndim else tensor

    def _width(self, block: Block) -> int:
        return round_width(self.conv_pw.in_channels * block.expansion)

    @staticmethod
    def _gate(se: SqueezeExcite, x: Tensor) -> Tensor:
        reduce, expand, wide = se.conv_reduce, se.conv_expand, x.shape[1]
        few = _squeeze_width(wide)
        y = x.mean((2, 3), keepdim=True)
        y = se.act1(F.conv2d(y, reduce.weight[:few, :wide], reduce.bias[:few]))
        y = F.conv2d(y, expand.weight[:wide, :few], expand.bias[:wide])
        gate: Tensor = se.gate(y)
        return gate

    @staticmethod
    def _squeeze_part(name: str, tensor: Tensor, wide: int) -> Tensor:
        few = _squeeze_width(wide)
        rows, columns = (few, wide) if "reduce" in name else (wide, few)
        return tensor[:rows, :columns] if tensor.ndim > 1 else tensor[:rows]


class ChoiceBlock(nn.Module):
    """A block of its own for every operation of a slot (ProxylessNAS).

    Args:
        blocks: timm's blocks by what they are.
    """

    def __init__(self, blocks: Mapping[Block, nn.Module]) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(
            {operation_name(block): module for block, module in blocks.items()}
        )

    def forward(self, x: Tensor, block: Block) -> Tensor:
        y: Tensor = self.operations[operation_name(block)](x)
        return y

    def take(self, block: Block) -> Iterator[tuple[str, Tensor]]:
        """The tensors of the block, by their names in it."""
        yield from self.operations[operation_name(block)].state_dict().items()


class MobileSupernet(Supernet):
    """All networks of a region, sharing weights.

    Args:
        region: A region of a :class:`MobileSpace`.
        shape: Channels and classes of the images.
        learned_kernels: Whether smaller kernels have learned transforms.
        drop_rate: Dropout before the classifier.
    """

    def __init__(
        self,
        region: Region,
        shape: ImageShape,
        *,
        learned_kernels: bool = True,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__(region)
        space = region.space
        assert isinstance(space, MobileSpace)
        self.space, self.shape, self.drop_rate = space, shape, drop_rate
        reachable = [
            [option for option in allowed if option in options]
            for allowed, options in zip(region.allowed, region.reachable(), strict=True)
        ]
        slots = space.slots(reachable)
        elastic = isinstance(space, ElasticSpace)
        wanted = [[_largest(s) if elastic else s for s in places] for places in slots]
        drawn = _timm_blocks(space, shape, wanted, drop_rate)
        self.frame, self.first, self.after = drawn.frame, drawn.first, drawn.after
        self.units = nn.ModuleList()
        for u, places in enumerate(slots):
            unit = nn.ModuleList()
            for s, blocks in enumerate(places):
                built = drawn.slots[u, s]
                if isinstance(space, ElasticSpace):
                    sizes = _between(space, u, s, blocks)
                    (block,) = built.values()
                    unit.append(ElasticBlock(block, sizes, learned_kernels))
                else:
                    unit.append(ChoiceBlock(built))
            self.units.append(unit)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """``[B, channels, H, W]`` to logits ``[B, classes]``."""
        plan = self.plan(architecture)
        x = self.first(self.frame.bn1(self.frame.conv_stem(x)))
        for unit, blocks in zip(self.units, plan, strict=True):
            for slot, block in blocks:
                x = cast(nn.ModuleList, unit)[slot](x, block)
        x = self.after(x)
        if isinstance(self.frame, EfficientNet):
            x = self.frame.bn2(self.frame.conv_head(x))
        logits: Tensor = self.frame.forward_head(x)
        return logits

    def make_plan(self, architecture: Architecture) -> list[list[tuple[int, Block]]]:
        return self.space.units(architecture)

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> nn.Module:
        """The architecture's own timm model, with copies of the weights."""
        self.region.require(architecture)
        network = timm_network(
            self.space.skeleton,
            self.space.arch_def(architecture),
            self.shape,
            drop_rate=self.drop_rate,
        )
        weights = dict(self._take(architecture))
        tensors = network.state_dict()
        assert tensors.keys() == weights.keys()
        for name, tensor in tensors.items():
            tensor.copy_(weights[name])
        network.train(self.training)
        return network.to(next(self.parameters()).device)

    def _take(self, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
        """Tensors by their names in the timm model, where blocks are counted and not placed."""
        yield from self.frame.state_dict().items()
        yield from _add_prefix("blocks.0.", self.first.state_dict().items())
        units, start = self.space.units(architecture), len(self.space.skeleton.before)
        present = [pair for pair in zip(self.units, units, strict=True) if pair[1]]
        for number, (unit, blocks) in enumerate(present, start=start):
            for index, (slot, block) in enumerate(blocks):
                elastic = cast(ElasticBlock | ChoiceBlock, cast(nn.ModuleList, unit)[slot])
                yield from _add_prefix(f"blocks.{number}.{index}.", elastic.take(block))
        yield from _add_prefix(f"blocks.{start + len(present)}.", self.after.state_dict().items())

    def slice_parent(
        self, name: str, parent: Mapping[str, Tensor], shape: torch.Size
    ) -> Tensor | None:
        """Leading channels, and the smaller kernel that the parent makes of a larger one."""
        tensor = parent[name]
        if name.endswith(DEPTHWISE) and shape[-1] < tensor.shape[-1]:
            prefix = f"{name.removesuffix(DEPTHWISE)}{TRANSFORMS}."
            sizes = _find_sizes(self.space, name)
            transforms = {
                key.removeprefix(prefix): value
                for key, value in parent.items()
                if key.startswith(prefix)
            }
            tensor = shrunk_kernel(tensor, shape[-1], sizes, transforms)
        return leading(tensor, shape)


class _TimmBlocks:
    """Blocks taken out of timm models, and what is left of the first of them."""

    def __init__(
        self, models: Sequence[Any], skeleton: Skeleton, wanted: Sequence[Sequence[Sequence[Block]]]
    ):
        self.frame = models[0]  # of timm, whose parts have no types
        stages = [list(model.blocks) for model in models]
        start = len(skeleton.before)
        self.first = stages[0][0] if skeleton.before else _nothing()
        self.after = stages[0][-1] if skeleton.after else _nothing()
        self.frame.blocks = _nothing()
        self.slots: dict[tuple[int, int], dict[Block, nn.Module]] = {}
        stage = start
        for u, places in enumerate(wanted):
            present = [s for s, blocks in enumerate(places) if blocks]
            for s, blocks in enumerate(places):
                self.slots[u, s] = {
                    block: stages[i][stage][present.index(s)] for i, block in enumerate(blocks)
                }
            stage += bool(present)


def _timm_blocks(
    space: MobileSpace,
    shape: ImageShape,
    wanted: Sequence[Sequence[Sequence[Block]]],
    drop_rate: float,
) -> _TimmBlocks:
    """Every wanted block, initialised by timm as in a network: the i-th of all slots at a time."""
    skeleton = space.skeleton
    models = []
    for index in range(max(len(blocks) for places in wanted for blocks in places)):
        units = []
        for unit, places in zip(skeleton.units, wanted, strict=True):
            chosen = [
                (slot, blocks[min(index, len(blocks) - 1)])
                for slot, blocks in enumerate(places)
                if blocks
            ]
            units.append([unit.block(block, first=slot == 0) for slot, block in chosen])
        models.append(timm_network(skeleton, skeleton.stages(units), shape, drop_rate=drop_rate))
    return _TimmBlocks(models, skeleton, wanted)


def _largest(blocks: Sequence[Block]) -> list[Block]:
    return [Block(max(b.kernel for b in blocks), max(b.expansion for b in blocks))]


def _between(space: ElasticSpace, unit: int, slot: int, blocks: Sequence[Block]) -> list[int]:
    """The sizes on the way from the largest kernel of a slot to its smallest."""
    kernels = [block.kernel for block in blocks]
    low, high = min(kernels), max(kernels)
    options = space.kernel_options(unit, slot)
    return [size for size in options if low <= size <= high]


def _find_sizes(space: MobileSpace, name: str) -> list[int]:
    """Kernel sizes of the slot that a tensor belongs to: ``units.UNIT.SLOT.conv_dw.weight``."""
    assert isinstance(space, ElasticSpace)
    _, unit, slot, *_ = name.split(".")
    return space.kernel_options(int(unit), int(slot))


def _squeeze_width(wide: int) -> int:
    return round_width(wide * SE_RATIO)


def _nothing() -> nn.Sequential:
    return nn.Sequential()


def _add_prefix(prefix: str, tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors:
        yield f"{prefix}{name}", tensor
