"""What a block costs, in closed form; a test holds it equal to fvcore.

Stdlib alone, because a space counts with it. For a block of ``m`` expanded channels from h x h to
h' x h' pixels, h' = ceil(h / stride), multiply-adds are ``in m h^2 + m k^2 h'^2 + m out h'^2``, and
``2 m r`` for squeeze-and-excitation to r channels. A separable block without expansion lacks the
first, and g groups make the last a g-th. fvcore's default total adds 2 for every element that batch
norm writes and 1 for every element that is pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewshot_tasks.imagenet.skeleton import PLAIN, SE_RATIO, Block, Skeleton, Unit, round_width

Cost = tuple[int, int, int]
"""Parameters, multiply-adds of convolutions and linear layers, fvcore's default total."""


@dataclass(frozen=True)
class Counts:
    """Costs that add up.

    Attributes:
        base: The cost of everything but the chosen blocks.
        options: The cost of each block that a slot may hold, by the slot's name.
    """

    base: Cost
    options: dict[str, dict[Block, Cost]]


def network_counts(
    skeleton: Skeleton,
    slots: Sequence[Sequence[Sequence[Block]]],
    input_size: tuple[int, int, int],
    classes: int,
) -> Counts:
    """Costs of all networks of a skeleton.

    Args:
        skeleton: What surrounds the blocks.
        slots: The blocks that each slot of each unit may hold.
        input_size: Channels, height and width in pixels of an image; height equals width.
        classes: Outputs of the classifier.
    """
    channels, size, _ = input_size
    size = _stride_size(size, skeleton.stem_stride)
    base = [_conv(channels, skeleton.stem, 3, size)]
    base += [_depthwise_first(skeleton, size)] if skeleton.before else []
    width, options = skeleton.width, {}
    for u, (unit, places) in enumerate(zip(skeleton.units, slots, strict=True)):
        smaller = _stride_size(size, unit.stride)
        for slot, blocks in enumerate(places):
            before = (width, size) if slot == 0 else (unit.width, smaller)
            options[f"unit{u + 1}_block{slot + 1}"] = {
                block: _block(unit, block, *before, smaller) for block in blocks
            }
        width, size = unit.width, smaller
    base += _head(skeleton, width, size, classes)
    return Counts(_total(base), options)


def _block(unit: Unit, block: Block, channels: int, size: int, smaller: int) -> Cost:
    if block == PLAIN:
        return _conv(channels, unit.width, 1, smaller)
    kernel, expansion, groups = block
    wide = round_width(channels * expansion)
    if unit.separable and expansion == 1:
        return _total(
            [
                _conv(1, channels, kernel, smaller),
                _conv(channels // groups, unit.width, 1, smaller),
            ]
        )
    costs = [
        _conv(channels, wide, 1, size),
        _conv(1, wide, kernel, smaller),
        _conv(wide, unit.width, 1, smaller),
    ]
    if unit.squeeze:
        squeezed = round_width(wide * SE_RATIO)
        flops = 2 * wide * squeezed
        costs.append((flops + squeezed + wide, flops, flops))
    return _total(costs)


def _depthwise_first(skeleton: Skeleton, size: int) -> Cost:
    stem, width = skeleton.stem, skeleton.first_width
    return _total([_conv(1, stem, 3, size), _conv(stem, width, 1, size)])


def _head(skeleton: Skeleton, width: int, size: int, classes: int) -> list[Cost]:
    head = skeleton.head
    linear = (head * classes + classes, head * classes, head * classes)
    if not skeleton.last:  # a convolution, then the pooling
        return [_conv(width, head, 1, size), (0, 0, head * size * size), linear]
    mixing = skeleton.last * head  # behind the pooling, without batch norm and bias
    pool = (0, 0, skeleton.last * size * size)
    return [_conv(width, skeleton.last, 1, size), pool, (mixing, mixing, mixing), linear]


def _conv(inputs: int, outputs: int, kernel: int, size: int) -> Cost:
    """A convolution without bias and its batch norm; of a depthwise one, ``inputs`` is 1."""
    weights = inputs * outputs * kernel * kernel
    flops = weights * size * size
    return (weights + 2 * outputs, flops, flops + 2 * outputs * size * size)


def _stride_size(size: int, stride: int) -> int:
    return -(-size // stride)


def _total(costs: Sequence[Cost]) -> Cost:
    return tuple(map(sum, zip(*costs, strict=True)))  # type: ignore[return-value]
