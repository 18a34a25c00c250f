"""Layers of which an architecture uses a part: leading channels, the centre of a kernel.

The smaller layer's weights are those of the larger one (Cai et al., Once-for-All, ICLR 2020,
section 3): a narrower layer takes the leading channels, a smaller kernel the centre of the larger,
times a learned matrix that all channels share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ElasticKernel(nn.Module):
    """Smaller kernels out of the largest, one size after the other: 7 to 5 to 3.

    Args:
        sizes: Odd sizes, increasing, all that lie between the smallest and the largest.
        learned: Whether a matrix transforms each centre; it begins as the identity.
    """

    def __init__(self, sizes: Sequence[int], learned: bool = True) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        if learned:
            for large, small in pairwise(reversed(self.sizes)):
                matrix = nn.Parameter(torch.eye(small * small))
                self.register_parameter(transform_name(large, small), matrix)

    def forward(self, weight: Tensor, size: int) -> Tensor:
        """``[C, 1, largest, largest]`` to ``[C, 1, size, size]``."""
        return shrunk_kernel(weight, size, self.sizes, dict(self.named_parameters()))


def transform_name(large: int, small: int) -> str:
    """Name of the matrix that makes the smaller kernel of the larger one's centre."""
    return f"transform_{large}to{small}"


def shrunk_kernel(
    weight: Tensor, size: int, sizes: Sequence[int], transforms: Mapping[str, Tensor]
) -> Tensor:
    """The kernel of ``size`` that lies in a larger one.

    Args:
        weight: ``[C, 1, K, K]``.
        size: At most K.
        sizes: The sizes on the way, increasing; others than those from ``size`` to K do not count.
        transforms: Matrices ``[k*k, k*k]`` by :func:`transform_name`; where one is missing, the
            centre is taken as it is.
    """
    largest = weight.shape[-1]
    steps = [step for step in sizes if size <= step <= largest]
    for large, small in pairwise(sorted({*steps, size, largest}, reverse=True)):
        edge = (large - small) // 2
        weight = weight[:, :, edge : edge + small, edge : edge + small]
        matrix = transforms.get(transform_name(large, small))
        if matrix is not None:
            rows = weight.reshape(len(weight), small * small)
            weight = F.linear(rows, matrix).view(len(weight), 1, small, small)
    return weight


def leading_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm of as many leading channels as ``x`` ``[B, C, H, W]`` has.

    In training mode the running statistics of these channels move, those of the others do not.
    What a norm of timm does behind it (``drop``, ``act``) is done here, too.
    """
    width = x.shape[1]
    if width == norm.num_features:
        return norm(x)
    factor = 0.0 if norm.momentum is None else norm.momentum
    if norm.training and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if norm.momentum is None:  # a cumulative average
            factor = 1.0 / float(norm.num_batches_tracked)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    x = F.batch_norm(
        x,
        mean[:width],
        variance[:width],
        norm.weight[:width],
        norm.bias[:width],
        norm.training,
        factor,
        norm.eps,
    )
    for name in ("drop", "act"):
        behind = getattr(norm, name, None)
        x = x if behind is None else behind(x)
    return x


def leading(tensor: Tensor, shape: Sequence[int]) -> Tensor | None:
    """The leading part of a tensor that has this shape; None where it is too small."""
    if tensor.ndim != len(shape) or any(n < m for n, m in zip(tensor.shape, shape, strict=True)):
        return None
    return tensor[tuple(slice(size) for size in shape)]
