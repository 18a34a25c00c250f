"""What trainings and scores of classifiers have in common: outputs, losses, parts of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot_core.data import Batch
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean cross-entropy of logits ``[B, classes]``, a scalar in float32.

    Args:
        logits: In any precision.
        targets: Classes ``[B]``, or their probabilities ``[B, classes]``.
        label_smoothing: Share of the probability that all classes have.
    """
    return F.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing)


def logits_of(outputs: Any) -> Tensor:
    """The logits among what a network gives: the first of several outputs."""
    logits: Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
    return logits


def pieces_of(batch: Batch, micro_batch: int | None) -> list[Batch]:
    """A batch in pieces of at most ``micro_batch`` images, as even as can be; None: in one.

    A last piece of one image would give batch norm no variance.
    """
    images, targets = batch
    if micro_batch is None or len(images) <= micro_batch:
        return [batch]
    count = -(-len(images) // micro_batch)
    split = zip(images.tensor_split(count), targets.tensor_split(count), strict=True)
    return list(split)


def path_batch(
    model: nn.Module, architectures: Sequence[Architecture], device: torch.device
) -> Tensor | None:
    """See :meth:`fewshot_core.supernet.Supernet.path_batch`."""
    return model.path_batch(architectures, device) if isinstance(model, Supernet) else None


def call(model: nn.Module, images: Tensor, architecture: Architecture | None) -> Tensor:
    """Run a supernet on an architecture, or a standalone model where there is none."""
    return model(images) if architecture is None else model(images, architecture)
