from __future__ import annotations

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.recipe.trainings import RetrainSettings
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.objective import FinishingObjective, learning_rate

CLASSES = 3


class Net(nn.Module):
    num_classes = CLASSES

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def settings(**more: object) -> RetrainSettings:
    base = {"epochs": 1, "lr": 0.1, "momentum": 0, "weight_decay": 0, "grad_clip": None}
    return RetrainSettings(**(base | more))  # type: ignore[arg-type]


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 2, 2, generator=generator), torch.tensor([0, 1, 2, 0])


def run(net: Net, how: RetrainSettings, accelerator: Accelerator, steps: int = 1) -> object:
    objective = ClassificationObjective(net, how, steps, accelerator)
    for step in range(steps):
        torch.manual_seed(step)
        objective.step(batch(), [None], step)
    return objective


# --- mixup


def test_mixup_trains_on_mixed_images_and_soft_targets(accelerator: Accelerator) -> None:
    plain, mixed = Net(), Net()
    run(plain, settings(), accelerator)
    run(mixed, settings(mixup=1.0), accelerator)
    assert not torch.equal(plain.layer.weight, mixed.layer.weight)


def test_mixup_follows_the_seed_of_the_step(accelerator: Accelerator) -> None:
    one, other = Net(), Net()
    run(one, settings(mixup=0.5, cutmix=0.5), accelerator, 3)
    np.random.random(7)
    middle = np.random.get_state()[1].tolist()
    run(other, settings(mixup=0.5, cutmix=0.5), accelerator, 3)
    assert torch.equal(one.layer.weight, other.layer.weight)
    assert np.random.get_state()[1].tolist() == middle


def test_mixup_leaves_the_images_of_the_batch_alone(accelerator: Accelerator) -> None:
    images, targets = batch()
    kept = images.clone()
    objective = ClassificationObjective(Net(), settings(mixup=1.0), 1, accelerator)
    objective.step((images, targets), [None], 0)
    assert torch.equal(images, kept)


# --- moving average


def test_what_is_kept_is_the_average(accelerator: Accelerator) -> None:
    net = Net()
    start = net.layer.weight.detach().clone()
    objective = run(net, settings(ema=0.5), accelerator, 4)
    last = net.layer.weight.detach().clone()
    assert isinstance(objective, FinishingObjective)
    objective.finish()
    kept = net.layer.weight.detach()
    assert not torch.equal(kept, last)
    assert float((kept - last).norm()) < float((start - last).norm())


def test_an_average_goes_on_after_a_cut(accelerator: Accelerator) -> None:
    how = settings(ema=0.9)
    whole, cut = Net(), Net()
    objective = run(whole, how, accelerator, 6)
    assert isinstance(objective, ClassificationObjective)
    objective.finish()

    first = ClassificationObjective(cut, how, 6, accelerator)
    for step in range(3):
        first.step(batch(), [None], step)
    weights, state = cut.state_dict(), first.state_dict()
    again = Net()
    second = ClassificationObjective(again, how, 6, accelerator)
    again.load_state_dict(weights)
    second.load_state_dict(state)
    for step in range(3, 6):
        second.step(batch(), [None], step)
    second.finish()
    assert torch.equal(again.layer.weight, whole.layer.weight)


def test_without_an_average_the_last_weights_stay(accelerator: Accelerator) -> None:
    net = Net()
    objective = run(net, settings(), accelerator, 2)
    last = net.layer.weight.detach().clone()
    objective.finish()  # type: ignore[attr-defined]
    assert torch.equal(net.layer.weight, last)


# --- schedule


def test_a_schedule_in_steps() -> None:
    how = settings(epochs=10, lr=1.0, schedule="step", decay_rate=0.5, decay_epochs=2, min_lr=0.1)
    rates = [learning_rate(how, step, 100, 10) for step in range(100)]
    assert rates[:10] == [pytest.approx((step + 1) / 10) for step in range(10)]
    assert rates[10] == rates[29] == 1.0
    assert rates[30] == 0.5
    assert rates[50] == 0.25
    assert rates[99] == 0.1
