"""Batch norm over the batch of all processes, on any device.

With a part of the batch on every process, batch norm of each part alone trains another network than
one process would. torch's ``SyncBatchNorm`` needs a GPU and keeps synchronising where a single
process measures statistics; here it is a matter of the training step alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def synchronise_norms(model: nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Inside, the batch-norm layers of ``model`` that train see the batch of all processes.

    Every process has to run the same layers in the same order, on equally many images.
    """
    norms = []
    if accelerator.num_processes > 1:
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.forward = partial(_forward, norm, accelerator.num_processes)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.__dict__["forward"]


@contextmanager
def leave_norms_alone(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm is this process's own again, for what the others do not take part in."""
    set_aside = [
        (norm, norm.__dict__.pop("forward"))
        for norm in model.modules()
        if isinstance(norm, _BatchNorm) and "forward" in norm.__dict__
    ]
    try:
        yield
    finally:
        for norm, forward in set_aside:
            norm.forward = forward  # type: ignore[method-assign]


def _forward(norm: _BatchNorm, world: int, x: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, x)
    dims = [0, *range(2, x.dim())]
    shape = [1, -1, *[1] * (x.dim() - 2)]
    total = world * x.numel() // x.shape[1]
    wide = x.float()
    mean: Tensor = _Sum.apply(wide.sum(dims)) / total
    centred = wide - mean.view(shape)
    variance: Tensor = _Sum.apply(centred.square().sum(dims)) / total
    _track(norm, mean.detach(), variance.detach() * (total / max(1, total - 1)))
    y = centred * (variance + norm.eps).rsqrt().view(shape)
    if norm.weight is not None:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    y = y.to(x.dtype)
    # timm's layers of a norm and an activation.
    for name in ("drop", "act"):
        after = getattr(norm, name, None)
        y = after(y) if isinstance(after, nn.Module) else y
    return y


@torch.no_grad()
def _track(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if norm.running_mean is None or norm.running_var is None:
        return
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)


class _Sum(torch.autograd.Function):
    """The sum over the processes; every one's loss depends on it, so gradients add up as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total
