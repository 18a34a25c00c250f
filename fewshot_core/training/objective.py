"""Objectives: what one training step of a task does, and how a trained model is scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from fewshot_core.data import Batch
from fewshot_core.recipe.trainings import RetrainSettings, TrainingSettings
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.training.pace import Pace

GRADIENT_NORM = "gradient norm"
"""What objectives call the norm of the gradient among what they log."""


class Objective(Protocol):
    """One training step of a task; it owns the optimisers.

    The training loop calls :meth:`step` and knows nothing of losses; a GAN has two optimisers
    where a classifier has one.
    """

    def step(
        self, batch: Batch, architectures: Sequence[Architecture | None], step: int
    ) -> dict[str, Tensor]:
        """Train on one batch and return what to log, as scalar tensors.

        Gradients of all ``architectures`` are accumulated; None stands for the whole model, when
        it is not a supernet.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything :meth:`step` needs to continue, without the model's weights."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""


@runtime_checkable
class FinishingObjective(Objective, Protocol):
    """An objective that has a last word on the weights, such as an average of them."""

    def finish(self) -> None:
        """Put what is kept into the model, after the last step."""


@runtime_checkable
class FollowsTraining(Protocol):
    """A module of a network of which something depends on how far the training is: drop path."""

    def follow(self, progress: float) -> None:
        """Note the share of the training's steps that are done, in [0, 1)."""


def followers_in(model: nn.Module) -> list[FollowsTraining]:
    """The modules of a model, itself among them, whose objective says before each step how far the
    training is."""
    return [module for module in model.modules() if isinstance(module, FollowsTraining)]


@runtime_checkable
class PacedObjective(Objective, Protocol):
    """An objective whose learning rate can fall at a pace of its own for each architecture.

    Attributes:
        pace: Says how fast; None: along a cosine for all. It is set before the first step.
    """

    pace: Pace | None


class Scorer(Protocol):
    """Measures a trained model on held-out images."""

    def score(
        self, model: nn.Module, architecture: Architecture | None, share: float = 1.0
    ) -> Mapping[str, float]:
        """Metrics; for a supernet of the given architecture.

        With a ``share`` below 1, on this part of the images: the same ones for every architecture.
        """

    def price(self, share: float) -> float:
        """What a score of a supernet's architecture costs, in scores on all images."""

    def score_many(
        self, model: Supernet, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, Mapping[str, float]]]:
        """Metrics of many architectures of one supernet; at once where it can run several."""


@runtime_checkable
class CalibratingScorer(Scorer, Protocol):
    """A scorer that measures batch norm again for each architecture of a supernet.

    Attributes:
        calibration: Batches of what networks take, on the device; empty: running statistics stay.
    """

    calibration: Sequence[Tensor]


def learning_rate(
    settings: TrainingSettings, step: int, steps: int, warmup: int, exponent: float | None = None
) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``min_lr`` (Loshchilov and Hutter 2017).

    Or, where retraining asks for it, steps down by a factor, as MobileNets are trained; or a power
    of the share of steps that is left, see :mod:`fewshot_core.training.pace`.

    Args:
        settings: The rates, and how they fall.
        step: The step, from 0.
        steps: How many there are.
        warmup: How many of them the warm-up takes.
        exponent: That of the power; None: a cosine.
    """
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    if isinstance(settings, RetrainSettings) and settings.schedule == "step":
        epoch = (step - warmup) * settings.epochs / steps
        rate = settings.lr * settings.decay_rate ** int(epoch / settings.decay_epochs)
        return max(settings.min_lr, rate)
    progress = (step - warmup) / max(1, steps - warmup)
    span = settings.lr - settings.min_lr
    if exponent is not None:
        return settings.min_lr + span * (1 - progress) ** exponent
    return settings.min_lr + span * 0.5 * (1 + math.cos(math.pi * progress))
