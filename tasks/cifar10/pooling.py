"""The supernet's average pooling, faster than torch's on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORTHWHILE = {torch.channels_last: 2**18, torch.contiguous_format: 2**15}
"""Numbers in a tensor of each layout from which on a convolution sums windows faster.

Below, the call costs more than it saves. Torch's pooling of the contiguous layout is ten times
slower than that of channels last.
"""


class _Pool(torch.autograd.Function):
    """3x3 average pooling whose backward pass is a pooling too.

    The average over the pixels inside the image is ``S(x) / n``, with S the sum over the window
    and n the number of pixels in it. S is its own transpose, so the gradient is ``S(g / n)``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.set_materialize_grads(False)
        if by_convolution(x):
            return _convolve(x)
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> Tensor | None:
        if gradient is None:
            return None
        if by_convolution(gradient):
            return _convolve(gradient, backward=True)
        height, width = gradient.shape[-2:]
        inside = _inside(height, gradient)[:, None] * _inside(width, gradient)[None, :]
        return 9 * F.avg_pool2d(gradient / inside, 3, stride=1, padding=1)


def by_convolution(x: Tensor) -> bool:
    """Whether oneDNN's depthwise convolution sums windows faster than torch's pooling.

    On the CPU, in the formats that the processor computes in, and of enough numbers.
    """
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if x.dtype == torch.bfloat16:
        if not _has_bf16():
            return False
    elif x.dtype != torch.float32:
        return False
    return x.numel() >= WORTHWHILE[_layout(x)]


def _has_bf16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _layout(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _convolve(x: Tensor, backward: bool = False) -> Tensor:
    layout, channels = _layout(x), x.shape[1]
    inner = x.contiguous(memory_format=torch.channels_last)
    if backward:
        inner = _by_border(inner.clone() if inner is x else inner)
    # bfloat16 has no ninth: it would be wrong by a fifth of a percent. Ones are exact.
    exact = x.dtype == torch.bfloat16
    weight = x.new_full((channels, 1, 3, 3), 1.0 if exact else 1 / 9)
    # Not F.conv2d: autocast would change the format.
    out = torch.convolution(inner, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], channels)
    out = out.mul_(1 / 9) if exact else out
    return (out if backward else _by_border(out)).contiguous(memory_format=layout)


def _by_border(x: Tensor) -> Tensor:
    """Multiply by ``9 / n``, in place: n is 9 but at the border."""
    for dimension in (2, 3):
        last = x.shape[dimension] - 1
        x.select(dimension, 0).mul_(1.5 if last else 3.0)
        if last:
            x.select(dimension, last).mul_(1.5)
    return x


def _inside(size: int, like: Tensor) -> Tensor:
    """How many of the three pixels of a window lie in an image of this size, by position."""
    count = torch.full((size,), 3.0, dtype=like.dtype, device=like.device)
    count[0] -= 1
    count[-1] -= 1
    return count


class SharedAveragePool(nn.Module):
    """The supernet's ``avg_pool_3x3``: as ``nn.AvgPool2d``, but faster."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and not by_convolution(x):
            return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        pooled: Tensor = _Pool.apply(x)
        return pooled
