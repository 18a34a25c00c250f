"""A curve beside a training: accuracy and loss on images that it does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from fewshot_core.data import Batch
from fewshot_core.runs.checkpoint import StageState

CURVE = "validation"
"""The note of a training that keeps ``[step, accuracy in percent, loss]``."""

IMAGES = 2_000
"""Validation images of a look, at most: a curve is no result, and a look is to cost little."""


@dataclass
class ValidationWatch:
    """At every checkpoint of a retraining: how good the network is on validation images.

    Nothing is chosen by it. The network is run without gradients and in ``eval()`` mode, so that
    its training goes on to the same bits.

    Args:
        batches: Validation images, which the training does not see.
        accelerator: What the training runs on; one of its processes looks.
    """

    batches: Sequence[Batch]
    accelerator: Accelerator

    @torch.no_grad()
    def __call__(self, state: StageState, model: nn.Module, folder: Path) -> None:
        model.eval()
        right = loss = count = 0.0
        for images, targets in self.batches:
            with self.accelerator.autocast():
                logits = model(images).float()
            right += float((logits.argmax(1) == targets).sum())
            loss += float(F.cross_entropy(logits, targets, reduction="sum"))
            count += len(targets)
        # What a rollback trains again is looked at again.
        before = [point for point in state.notes.get(CURVE, []) if point[0] < state.step]
        state.notes[CURVE] = [
            *before,
            [state.step, round(100 * right / count, 3), round(loss / count, 5)],
        ]
