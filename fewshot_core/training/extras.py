"""What trainings from scratch may add to a step, in timm's parts: mixup, teacher, average."""

from __future__ import annotations

from typing import Any

import timm
import torch
from accelerate import Accelerator
from timm.data import Mixup
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from fewshot_core.data import Batch
from fewshot_core.data.augment import seeded
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.trainings import RetrainSettings


class Extras:
    """The additions that a section ``retrain`` asks for; none of them by default.

    Args:
        model: The network, not wrapped; it says how many classes there are.
        settings: The section.
        accelerator: Where a teacher runs.

    Raises:
        RecipeError: The teacher cannot be had, or tells apart another number of classes.
    """

    def __init__(
        self, model: nn.Module, settings: RetrainSettings, accelerator: Accelerator
    ) -> None:
        self.model, self.settings, self.accelerator = model, settings, accelerator
        self.mixup: Mixup | None = None
        self.teacher: nn.Module | None = None
        if settings.mixup or settings.cutmix:
            self.mixup = Mixup(
                mixup_alpha=settings.mixup,
                cutmix_alpha=settings.cutmix,
                label_smoothing=settings.label_smoothing,
                num_classes=_classes(model),
            )
        # Warmed up, or a short training would keep mostly its beginning.
        decay = settings.ema
        self.ema = None if decay is None else ModelEmaV3(model, decay=decay, use_warmup=True)
        if settings.teacher:
            self.teacher = _teacher(settings.teacher, _classes(model), accelerator)

    def mix(self, batch: Batch) -> Batch:
        """The batch with images mixed; targets are then ``[B, classes]``."""
        if self.mixup is None:
            return batch
        images, targets = batch
        with seeded(torch.initial_seed(), "mixup"):
            mixed: Batch = self.mixup(images.clone(), targets)
        return mixed

    def teach(self, images: Tensor) -> Tensor | None:
        """The teacher's probabilities ``[B, classes]``; None where there is no teacher."""
        if self.teacher is None:
            return None
        with torch.no_grad(), self.accelerator.autocast():
            taught: Tensor = self.teacher(images).float().softmax(1)
        return taught

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


def _classes(model: nn.Module) -> int:
    return int(model.num_classes)  # type: ignore[arg-type]


def load_teacher(name: str) -> nn.Module:
    """A timm model with its weights.

    Raises:
        RecipeError: It cannot be had.
    """
    try:
        teacher: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:  # timm, the hub and the file system all have their own
        raise RecipeError(
            f"retrain.teacher={name} cannot be loaded by timm",
            found=(str(error) or type(error).__name__).splitlines()[0][:120],
            allowed="a timm model with weights, such as local-dir:FOLDER",
        ) from None
    return teacher


def _teacher(name: str, classes: int, accelerator: Accelerator) -> nn.Module:
    teacher = load_teacher(name)
    if teacher.num_classes != classes:
        raise RecipeError(
            f"retrain.teacher={name} tells apart other classes",
            found=f"{teacher.num_classes}",
            allowed=f"{classes}, those of the data",
        )
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher.to(accelerator.device).eval()
