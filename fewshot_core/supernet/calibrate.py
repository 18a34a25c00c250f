"""Batch-norm recalibration: statistics of one architecture instead of a mixture of all.

The running statistics of a supernet average over all the paths of its training and fit none of
them. Before an architecture is scored, they are measured again on training images (Guo et al.,
ECCV 2020, section 3.4; Yu and Huang, ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def recalibrate_norms(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object]
) -> Iterator[None]:
    """Measure batch-norm statistics, evaluate inside the block, then put the old ones back.

    Args:
        model: Its batch-norm layers are recalibrated; it is left in ``eval()`` mode.
        batches: Images ``[B, C, H, W]``; every batch weighs the same. Without any, the running
            statistics stay as they are.
        forward: Runs the architecture to be scored.
    """
    batches = list(batches)
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    saved = [(m, {n: b.clone() for n, b in m.named_buffers()}, m.momentum) for m in norms]
    model.eval()
    try:
        if batches:
            _measure(norms, batches, forward)
        yield
    finally:
        for norm, buffers, momentum in saved:
            norm.momentum = momentum
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])
        model.eval()


def keep_calibrated(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object]
) -> None:
    """Measure batch-norm statistics as :func:`recalibrate_norms` does, and leave them in the model.

    Args:
        model: A network of one architecture; it is left in ``eval()`` mode.
        batches: Images ``[B, C, H, W]``. Without any, the running statistics stay as they are.
        forward: Runs the network.
    """
    with recalibrate_norms(model, batches, forward):
        measured = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(measured)


@torch.no_grad()
def _measure(
    norms: list[_BatchNorm], batches: list[Tensor], forward: Callable[[Tensor], object]
) -> None:
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average over the batches
        norm.train()
    for images in batches:
        forward(images)
    for norm in norms:
        norm.eval()
