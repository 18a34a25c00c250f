"""What retraining may add to a step, in timm's parts: mixup, and an average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from timm.data import Mixup
from timm.utils import ModelEmaV3
from torch import nn

from fewshot_core.data import Batch
from fewshot_core.data.augment import seeded
from fewshot_core.recipe.trainings import RetrainSettings


class Extras:
    """The additions that a section ``retrain`` asks for; none of them by default.

    Args:
        model: The network, not wrapped; it says how many classes there are.
        settings: The section.
    """

    def __init__(self, model: nn.Module, settings: RetrainSettings) -> None:
        self.model = model
        self.mixup: Mixup | None = None
        if settings.mixup or settings.cutmix:
            self.mixup = Mixup(
                mixup_alpha=settings.mixup,
                cutmix_alpha=settings.cutmix,
                label_smoothing=settings.label_smoothing,
                num_classes=int(model.num_classes),  # type: ignore[arg-type]
            )
        # Warmed up, or a short training would keep mostly its beginning.
        decay = settings.ema
        self.ema = None if decay is None else ModelEmaV3(model, decay=decay, use_warmup=True)

    def mix(self, batch: Batch) -> Batch:
        """The batch with images mixed; targets are then ``[B, classes]``."""
        if self.mixup is None:
            return batch
        images, targets = batch
        with seeded(torch.initial_seed(), "mixup"):
            mixed: Batch = self.mixup(images.clone(), targets)
        return mixed

    def average(self, step: int) -> None:
        """Take the new weights into the average."""
        if self.ema is not None:
            self.ema.update(self.model, step=step)

    def finish(self) -> None:
        """Put the averaged weights into the network."""
        if self.ema is not None:
            self.model.load_state_dict(self.ema.module.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        return {} if self.ema is None else {"ema": self.ema.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])
