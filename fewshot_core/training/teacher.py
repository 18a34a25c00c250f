"""Distillation: a model of timm whose outputs classifiers learn from, beside the labels.

The teacher's probabilities are targets of a second cross-entropy, at a temperature of one (Hinton,
Vinyals and Dean, *Distilling the Knowledge in a Neural Network*, 2015).
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.training.timm_models import create_pretrained


class Teacher:
    """A trained model that is not trained any further.

    Args:
        settings: Of the training; they name the teacher.
        accelerator: Where it runs.

    Raises:
        RecipeError: It cannot be had.
    """

    def __init__(self, settings: TrainingSettings, accelerator: Accelerator) -> None:
        assert settings.teacher
        self._said = teacher_said(settings)
        self._accelerator = accelerator
        model = load_teacher(settings).to(accelerator.device).eval()
        self._model = model.requires_grad_(False)

    @torch.no_grad()
    def teach(self, images: Tensor) -> Tensor:
        """Probabilities ``[B, classes]`` in float32 of images ``[B, channels, H, W]``.

        They are the same whatever was drawn before: nothing in the teacher is random.
        """
        with self._accelerator.autocast():
            taught: Tensor = self._model(images).float().softmax(1)
        return taught

    def require(self, images: Tensor, classes: int) -> None:
        """Raise unless it takes such images and tells apart so many classes.

        Args:
            images: A few, as the training sees them.
            classes: Those of the data.

        Raises:
            RecipeError: It does not.
        """
        try:
            found = self.teach(images)
        except Exception as error:  # every model has errors of its own
            shape = "x".join(map(str, images.shape[1:]))
            raise RecipeError(
                f"{self._said} does not take the images of this training",
                found=f"{shape}: {_first_line(error)}",
                fix="choose another teacher, or another size of the images",
            ) from None
        if found.shape != (len(images), classes):
            raise RecipeError(
                f"{self._said} tells apart other classes",
                found=f"{found.shape[-1]}",
                allowed=f"{classes}, those of the data",
                fix="fine-tune it on these images first, and give it as local-dir:FOLDER",
            )


def teacher_said(settings: TrainingSettings) -> str:
    """``supernet.teacher=NAME``, as a user has set it."""
    return f"{settings.section}.teacher={settings.teacher}"


def load_teacher(settings: TrainingSettings) -> nn.Module:
    """The timm model that the settings name, with its weights, on the CPU.

    Raises:
        RecipeError: It cannot be had.
    """
    try:
        return create_pretrained(settings.teacher or "")
    except Exception as error:  # timm, the hub and the file system all have their own
        raise RecipeError(
            f"{teacher_said(settings)} cannot be loaded by timm",
            found=_first_line(error),
            allowed="a timm model with weights, such as local-dir:FOLDER",
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]
