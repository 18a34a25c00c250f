"""The scorer of image classifiers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from fewshot_core.data import Batch
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, recalibrate_norms
from fewshot_core.training.forward import call
from fewshot_core.training.predictions import Predictions

AT_ONCE = 32
"""Architectures that are scored together where a supernet can run several."""


class ClassificationScorer:
    """Accuracy in percent and mean cross-entropy on held-out images.

    A supernet's batch-norm statistics are measured again for each architecture; a standalone model
    is scored as it is. Processes of one accelerator share the batches out, so all have to call.
    """

    def __init__(
        self, batches: Sequence[Batch], calibration: Sequence[Tensor], accelerator: Accelerator
    ) -> None:
        self.batches = batches
        self.calibration = calibration
        self.accelerator = accelerator
        self._parts: dict[float, Sequence[Batch]] = {1.0: batches}

    @torch.no_grad()
    def score(
        self, model: nn.Module, architecture: Architecture | None, share: float = 1.0
    ) -> dict[str, float]:
        return self._score(model, architecture, self._part(share))

    @torch.no_grad()
    def score_and_predict(self, model: nn.Module) -> tuple[dict[str, float], Predictions]:
        """See :class:`fewshot_core.training.predictions.PredictingScorer`."""
        seen: dict[int, Predictions] = {}

        def see(index: int, logits: Tensor, targets: Tensor) -> None:
            seen[index] = Predictions.of_logits(logits, targets)

        figures = self._score(model, None, self.batches, see)
        if self.accelerator.num_processes > 1:
            seen = {k: v for part in gather_object([seen]) for k, v in part.items()}
        return figures, Predictions.join([seen[index] for index in sorted(seen)])

    def _score(
        self,
        model: nn.Module,
        architecture: Architecture | None,
        part: Sequence[Batch],
        see: Callable[[int, Tensor, Tensor], None] = lambda index, logits, targets: None,
    ) -> dict[str, float]:
        """Metrics on batches; ``see`` is shown each with the logits of the model."""

        def forward(images: Tensor) -> Tensor:
            with self.accelerator.autocast():
                return call(model, images, architecture)

        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        rows = [[0.0, 0.0, 0.0] for _ in range(len(part))]  # images may be read at every look
        calibration = [] if architecture is None else self.calibration
        with recalibrate_norms(model, calibration, forward):
            for index in range(rank, len(part), world):
                images, targets = part[index]
                logits = forward(images).float()
                correct = float((logits.argmax(1) == targets).sum())
                loss = float(F.cross_entropy(logits, targets, reduction="sum"))
                rows[index] = [correct, loss, float(len(targets))]
                see(index, logits, targets)
        if world > 1:
            every = torch.tensor(rows, dtype=torch.float64, device=self.accelerator.device)
            rows = self.accelerator.reduce(every, "sum").tolist()
        # Batch by batch in their order, so that the sum does not depend on the number of processes.
        right, total, count = (sum(column) for column in zip(*rows, strict=True))
        return {"accuracy": 100.0 * right / count, "loss": total / count}

    def price(self, share: float) -> float:
        """In images that pass through the network; those of recalibration are always the same."""
        calibration = sum(len(images) for images in self.calibration)
        every = sum(len(targets) for _, targets in self.batches)
        part = sum(len(targets) for _, targets in self._part(share))
        return (calibration + part) / (calibration + every)

    def _part(self, share: float) -> Sequence[Batch]:
        """Images at equal distances: they may come class by class."""
        if share not in self._parts:
            images, targets = (torch.cat(parts) for parts in zip(*self.batches, strict=True))
            count = max(1, math.ceil(share * len(targets) - 1e-9))
            index = torch.arange(count, device=targets.device) * len(targets) // count
            size = len(self.batches[0][1])
            pairs = zip(images[index].split(size), targets[index].split(size), strict=True)
            self._parts[share] = list(pairs)
        return self._parts[share]

    def score_many(
        self, model: Supernet, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, dict[str, float]]]:
        """The same metrics as one by one."""
        for first in range(0, len(architectures), AT_ONCE):
            group = architectures[first : first + AT_ONCE]
            scores = self._score_at_once(model, group)
            for index, architecture in enumerate(group):
                yield architecture, scores[index] if scores else self.score(model, architecture)

    @torch.no_grad()
    def _score_at_once(
        self, model: Supernet, architectures: Sequence[Architecture]
    ) -> list[dict[str, float]] | None:
        """Metrics of each; None where the supernet runs them one by one."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        part = self.batches[rank::world]
        with self.accelerator.autocast():
            found = model.logits_of_many(architectures, self.calibration, (x for x, _ in part))
            if found is None:
                return None
            rows = torch.zeros(len(self.batches), 2, len(architectures), dtype=torch.float64)
            rows = rows.to(self.accelerator.device)
            for index, (logits, (_, targets)) in enumerate(zip(found, part, strict=True)):
                every = targets.expand(len(architectures), -1)
                loss = F.cross_entropy(logits.float().transpose(1, 2), every, reduction="none")
                right = (logits.argmax(2) == every).sum(1)
                rows[rank + index * world] = torch.stack([right.double(), loss.double().sum(1)])
        if world > 1:
            rows = self.accelerator.reduce(rows, "sum")
        count = sum(len(targets) for _, targets in self.batches)
        right, total = rows.sum(0).tolist()
        return [
            {"accuracy": 100.0 * r / count, "loss": t / count}
            for r, t in zip(right, total, strict=True)
        ]
