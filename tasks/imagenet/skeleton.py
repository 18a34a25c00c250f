"""What is fixed about a space of mobile networks: widths, strides, activations, the head.

Stdlib alone. Figures of the spaces: once-for-all's ``ofa_mbv3.py`` and ProxylessNAS'
``super_proxyless.py`` (both MIT), as facts; the networks themselves are timm's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fewshot_core.errors import RecipeError


class Block(NamedTuple):
    """What may be chosen for a place.

    Attributes:
        kernel: Kernel size of the depthwise convolution.
        expansion: Its channels, in those of the input.
        groups: Groups of the 1x1 convolution behind it; without expansion alone.
    """

    kernel: int
    expansion: int
    groups: int = 1


PLAIN = Block(1, 0)
"""A 1x1 convolution and batch norm, where a unit begins and nothing else changes its shape."""

SE_RATIO = 0.25
"""Squeezed channels of a squeeze-and-excitation, as a share of the expanded ones."""


def round_width(channels: float, divisor: int = 8) -> int:
    """The multiple of ``divisor`` next to a width, never below nine tenths of it.

    The rule of the MobileNet family (Sandler et al., CVPR 2018), which timm follows.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


@dataclass(frozen=True)
class Unit:
    """Blocks of one width; the first of them carries the stride.

    Attributes:
        width: Channels of every block's output.
        stride: 1 or 2.
        slots: Places for blocks.
        activation: timm's short name: ``re``, ``r6`` or ``hs``.
        squeeze: Whether blocks have squeeze-and-excitation.
        separable: Whether blocks without expansion have no 1x1 convolution in front, either.
    """

    width: int
    stride: int
    slots: int
    activation: str
    squeeze: bool = False
    separable: bool = False

    def block(self, block: Block, first: bool) -> str:
        """timm's string for a block of this unit.

        Two words are ours: ``nid``, no activation, and ``pg2``, two groups of the last convolution.
        """
        stride = self.stride if first else 1
        if block == PLAIN:
            return f"cn_r1_k1_s{stride}_c{self.width}_nid"
        kernel, expansion, groups = block
        squeeze = f"_se{SE_RATIO}" if self.squeeze else ""
        if self.separable and expansion == 1:
            grouped = f"_pg{groups}" if groups > 1 else ""
            return f"ds_r1_k{kernel}_s{stride}_e1_c{self.width}_n{self.activation}{grouped}"
        return f"ir_r1_k{kernel}_s{stride}_e{expansion}_c{self.width}{squeeze}_n{self.activation}"


@dataclass(frozen=True)
class Skeleton:
    """The parts around the chosen blocks.

    Attributes:
        model: Name of the timm model that is built of it.
        stem: Channels of the 3x3 stem.
        stem_stride: 2; 1 for images of 32 pixels.
        first_width: Channels of the block without expansion behind the stem; 0: there is none.
        first_activation: The activation of that block.
        units: The units of chosen blocks.
        last: Channels of the 1x1 convolution behind them, as a stage of blocks; 0: none.
        head: Channels of the features that the linear classifier reads.
        activation: The activation of stem and head.
        further: Keyword arguments of the timm model that differ from its defaults.
    """

    model: str
    stem: int
    stem_stride: int
    first_width: int
    first_activation: str
    units: tuple[Unit, ...]
    last: int
    head: int
    activation: str
    further: tuple[tuple[str, object], ...] = ()

    @property
    def before(self) -> tuple[str, ...]:
        """timm's strings for the block behind the stem, a stage of its own; empty: none."""
        if not self.first_width:
            return ()
        return (f"ds_r1_k3_s1_e1_c{self.first_width}_n{self.first_activation}",)

    @property
    def width(self) -> int:
        """Channels that the first unit reads."""
        return self.first_width or self.stem

    def stages(self, units: Iterable[Sequence[str]]) -> list[list[str]]:
        """timm's strings for the whole network, given those of the units."""
        return [list(stage) for stage in (self.before, *units, self.after) if stage]

    @property
    def after(self) -> tuple[str, ...]:
        """timm's strings for what follows the units, a stage of its own."""
        return (f"cn_r1_k1_s1_c{self.last}_n{self.activation}",) if self.last else ()

    def keeps_shape(self, unit: int) -> bool:
        """Whether a unit, counted from 0, gives what it reads the shape that it has."""
        before = self.units[unit - 1].width if unit else self.width
        return self.units[unit].stride == 1 and self.units[unit].width == before

    def arguments(self) -> dict[str, object]:
        """Keyword arguments of the timm model, without ``arch_def``."""
        sizes = {"stem_size": self.stem, "stem_stride": self.stem_stride, "head_size": self.head}
        return {**sizes, **dict(self.further)}


def ofa_skeleton(width: float, slots: int = 4) -> Skeleton:
    """OFA-MobileNetV3 (Cai et al., ICLR 2020): five units of up to four blocks."""
    units = (
        (24, 2, "re", False),
        (40, 2, "re", True),
        (80, 2, "hs", False),
        (112, 1, "hs", True),
        (160, 2, "hs", True),
    )
    return Skeleton(
        model="searched_mobilenetv3",
        stem=round_width(16 * width),
        stem_stride=2,
        first_width=round_width(16 * width),
        first_activation="re",
        units=tuple(Unit(round_width(c * width), s, slots, a, se) for c, s, a, se in units),
        last=round_width(960 * width),
        head=round_width(1280 * width),
        activation="hs",
    )


def proxyless_skeleton(width: float, slots: int = 4) -> Skeleton:
    """ProxylessNAS (Cai et al., ICLR 2019): 21 blocks in six stages.

    Stage 1 has 24 channels as in the original; the EFS-NAS repository widens it to 32.
    """
    units = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))
    return Skeleton(
        model="searched_efficientnet",
        stem=round_width(32 * width),
        stem_stride=2,
        first_width=round_width(16 * width),
        first_activation="r6",
        units=tuple(
            Unit(round_width(c * width), s, slots if i < 5 else 1, "r6")
            for i, (c, s) in enumerate(units)
        ),
        last=0,
        head=round_width(1280 * max(1.0, width)),
        activation="r6",
    )


def fbnet_skeleton(width: float = 1.0) -> Skeleton:
    """FBNet (Wu et al., CVPR 2019): 22 blocks in seven units, of the widths of FBNet-B and C.

    Convolutions have no bias, which is of no use in front of a batch norm; the released ones do.
    """
    units = ((16, 1, 1), (24, 2, 4), (32, 2, 4), (64, 2, 4), (112, 1, 4), (184, 2, 4), (352, 1, 1))
    return Skeleton(
        model="searched_efficientnet",
        stem=round_width(16 * width),
        stem_stride=2,
        first_width=0,
        first_activation="re",
        units=tuple(
            Unit(round_width(c * width), stride, slots, "re", separable=True)
            for c, stride, slots in units
        ),
        last=0,
        head=round_width(1984 * width),
        activation="re",
        further=(("act_layer", "relu"), ("bn_eps", 1e-5)),
    )


def macro_skeleton(width: float = 1.0) -> Skeleton:
    """NAS-Bench-Macro (Su et al., CVPR 2021): eight layers in three units, for 32 pixels."""
    units = ((64, 2), (128, 3), (256, 3))
    return Skeleton(
        model="searched_efficientnet",
        stem=round_width(32 * width),
        stem_stride=1,
        first_width=0,
        first_activation="re",
        units=tuple(Unit(round_width(c * width), 2, slots, "re") for c, slots in units),
        last=0,
        head=round_width(1280 * width),
        activation="re",
        further=(("act_layer", "relu"), ("bn_eps", 1e-5)),
    )


def lab_variant(
    skeleton: Skeleton,
    *,
    units: Sequence[int] = (),
    strides: Sequence[int] = (),
    stem_stride: int | None = None,
    head: int | None = None,
) -> Skeleton:
    """The same networks with fewer units, other strides or a smaller head.

    Args:
        skeleton: What is changed.
        units: Which units stay, counted from 1; empty: all.
        strides: Stride of each unit that stays; empty: as they are.
        stem_stride: 1 keeps the resolution of small images.
        head: Channels of the features.

    Raises:
        RecipeError: A number is out of range.
    """
    kept = list(skeleton.units)
    if units:
        if list(units) != sorted(set(units)) or not 1 <= units[0] <= units[-1] <= len(kept):
            raise RecipeError(
                "network.units names units that do not exist or are out of order",
                found=list(units),
                allowed=f"increasing numbers from 1 to {len(kept)}",
            )
        kept = [kept[number - 1] for number in units]
    if strides:
        if len(strides) != len(kept) or not set(strides) <= {1, 2}:
            raise RecipeError(
                "network.strides does not fit",
                found=list(strides),
                allowed=f"{len(kept)} numbers, each 1 or 2",
            )
        kept = [replace(unit, stride=stride) for unit, stride in zip(kept, strides, strict=True)]
    if stem_stride not in (None, 1, 2):
        raise RecipeError("network.stem_stride is out of range", found=stem_stride, allowed="1, 2")
    if head is not None and head < 8:
        raise RecipeError("network.head is too small", found=head, allowed="8 or more")
    return replace(
        skeleton,
        stem_stride=stem_stride or skeleton.stem_stride,
        units=tuple(kept),
        head=head or skeleton.head,
    )
