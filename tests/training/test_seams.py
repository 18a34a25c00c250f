"""What a task may put in: a loss of several outputs, and parts that follow the training."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.recipe.trainings import RetrainSettings
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.classifier_scores import ClassificationScorer
from fewshot_core.training.teacher import Teacher
from fewshot_tasks.cifar10.task import CellTask

SETTINGS = RetrainSettings(lr=0.1, batch_size=8, epochs=2, grad_clip=None, momentum=0.0)
STEPS = 4


class TwoHeads(nn.Module):
    """Logits, and while it is trained an auxiliary head's; it notes how far the training is."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.other = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Any:
        features = self.body(x).relu()
        logits = self.head(features)
        return (logits, self.other(features)) if self.training else logits

    def follow(self, progress: float) -> None:
        self.seen.append(progress)


class AuxiliaryTask(CellTask):
    def compare(self, outputs: Any, targets: Tensor, label_smoothing: float) -> Tensor:
        if not isinstance(outputs, tuple):
            return super().compare(outputs, targets, label_smoothing)
        logits, other = outputs
        loss = super().compare(logits, targets, label_smoothing)
        return loss + 0.4 * super().compare(other, targets, label_smoothing)


TASK = AuxiliaryTask()


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 4, generator=generator), torch.arange(8) % 3


def network() -> TwoHeads:
    torch.manual_seed(0)
    return TwoHeads().train()


def test_an_auxiliary_head_is_trained(accelerator: Accelerator) -> None:
    model, (x, y) = network(), batch()
    settings = dataclasses.replace(SETTINGS, label_smoothing=0.1, weight_decay=0.0)
    expected = copy.deepcopy(model)
    logits, other = expected(x)
    loss = F.cross_entropy(logits, y, label_smoothing=0.1)
    loss = loss + 0.4 * F.cross_entropy(other, y, label_smoothing=0.1)
    loss.backward()
    logged = TASK.objective(model, settings, STEPS, accelerator).step((x, y), [None], 0)
    assert float(logged["loss"]) == pytest.approx(float(loss.detach()), rel=1e-6)
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine.detach(), (theirs - 0.1 * theirs.grad).detach())


def test_a_teacher_is_compared_with_the_logits_alone(
    accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = torch.full((8, 3), 1 / 3)
    monkeypatch.setattr(Teacher, "__init__", lambda *_: None)
    monkeypatch.setattr(Teacher, "teach", lambda self, images: taught)
    (x, y), losses = batch(), []
    for weight in (0.0, 2.0):
        settings = dataclasses.replace(SETTINGS, teacher="any", teacher_weight=weight)
        objective = TASK.objective(network(), settings, STEPS, accelerator)
        losses.append(float(objective.step((x, y), [None], 0)["loss"]))
    expected = 2.0 * F.cross_entropy(network()(x)[0], taught).detach()
    assert losses[1] - losses[0] == pytest.approx(float(expected), rel=1e-5)


def test_the_loss_of_a_task_is_that_of_its_steps(accelerator: Accelerator) -> None:
    model = network()
    loss = float(TASK.loss(model, batch(), None, accelerator).detach())
    logged = TASK.objective(model, SETTINGS, STEPS, accelerator).step(batch(), [None], 0)
    assert float(logged["loss"]) == pytest.approx(loss, rel=1e-6)


def test_the_main_head_is_scored(accelerator: Accelerator) -> None:
    model, (x, y) = network().eval(), batch()
    found = ClassificationScorer([(x, y)], [], accelerator).score(model, None)
    right = float((model(x).argmax(1) == y).float().mean())
    assert found["accuracy"] == pytest.approx(100 * right)


def test_a_module_follows_the_training(accelerator: Accelerator) -> None:
    """By the step alone, so that a training that goes on says the same."""
    model = nn.Sequential(nn.Identity(), network())
    objective = ClassificationObjective(
        model, dataclasses.replace(SETTINGS, mixup=0.0), STEPS, accelerator, TASK.compare
    )
    for step in (0, 1, 3):
        objective.step(batch(), [None], step)
    assert model[1].seen == [0.0, 0.25, 0.75]
