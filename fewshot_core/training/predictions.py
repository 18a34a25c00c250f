"""What a classifier says of every image of a part, and that counted by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from fewshot_core.training.objective import Scorer

DENSE = 100
"""With more classes than this not every confusion is kept, but the commonest ones."""

COMMONEST = 200
"""Confusions that are kept then."""


@dataclass(frozen=True)
class Predictions:
    """What a network says of images, in their order.

    Attributes:
        targets: int64 ``[N]``, their classes.
        predicted: int64 ``[N]``, the likeliest class of each.
        likely: float32 ``[N]``, the probability that it has.
        given: float32 ``[N]``, the probability that the class of the image has.
    """

    targets: Tensor
    predicted: Tensor
    likely: Tensor
    given: Tensor

    @classmethod
    def of_logits(cls, logits: Tensor, targets: Tensor) -> Predictions:
        """Those of a batch, on the CPU.

        Args:
            logits: float32 ``[B, classes]``.
            targets: int64 ``[B]``.
        """
        # `argmax` breaks ties as the accuracy does; `max` of probabilities may not.
        predicted, chances = logits.argmax(1), logits.softmax(1)
        likely = chances.gather(1, predicted[:, None])[:, 0]
        given = chances.gather(1, targets[:, None])[:, 0]
        return cls(targets.cpu(), predicted.cpu(), likely.cpu(), given.cpu())

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Those of several batches, in their order."""
        names = ("targets", "predicted", "likely", "given")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def worst(self, count: int) -> list[int]:
        """Indices of the images whose class has the least probability, that one first."""
        return self.given.argsort(stable=True)[:count].tolist()

    def tally(self, classes: int) -> dict[str, Any]:
        """Counts by class, as JSON values.

        Returns:
            ``images`` and ``right``, a number for each class; ``confusions``, a list of ``[class,
            predicted class, images]``, the commonest first. Of more than :data:`DENSE` classes the
            first :data:`COMMONEST` are kept.
        """
        right = self.targets[self.predicted == self.targets]
        wrong = self.predicted != self.targets
        pairs = zip(self.targets[wrong].tolist(), self.predicted[wrong].tolist(), strict=True)
        found = sorted(Counter(pairs).items(), key=lambda one: (-one[1], one[0]))
        return {
            "images": torch.bincount(self.targets, minlength=classes).tolist(),
            "right": torch.bincount(right, minlength=classes).tolist(),
            "confusions": [
                [*pair, count] for pair, count in found[: None if classes <= DENSE else COMMONEST]
            ],
        }


@runtime_checkable
class PredictingScorer(Scorer, Protocol):
    """A scorer that can also tell what a network says of every image."""

    def score_and_predict(self, model: nn.Module) -> tuple[dict[str, float], Predictions]:
        """The metrics of a standalone model, as :meth:`score` has them, and its predictions.

        The images pass through the model once.
        """
