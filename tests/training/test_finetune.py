"""Fine-tuning: what learns how fast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.trainings import FINE_TUNING, RetrainSettings
from fewshot_core.training.classification import ClassificationObjective

CLASSES = 3


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("resnet10t", num_classes=CLASSES)


def settings(**more: object) -> RetrainSettings:
    base = {"epochs": 2, "lr": 0.1, "weight_decay": 0, "start": "inherited", "grad_clip": None}
    return RetrainSettings(**(base | more))  # type: ignore[arg-type]


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    while True:
        yield torch.randn(6, 3, 32, 32, generator=generator), torch.arange(6) % CLASSES


def changed(model: nn.Module, how: RetrainSettings, steps: int, accelerator: Accelerator) -> dict:
    """How far every tensor moved in the first of some steps, by name."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    objective = ClassificationObjective(model, how, steps, accelerator)
    objective.step(next(batches()), [None], 0)
    after = model.state_dict()
    return {name: float((after[name] - before[name]).abs().max()) for name in before}


def test_the_head_learns_alone_at_first(model: nn.Module, accelerator: Accelerator) -> None:
    how = settings(head_epochs=1)
    moved = changed(model, how, 4, accelerator)
    learnt = {name for name, _ in model.named_parameters() if moved[name] > 0}
    assert learnt == {"fc.weight", "fc.bias"}
    objective = ClassificationObjective(model, how, 4, accelerator)
    before = model.conv1[0].weight.clone()
    for step, batch in zip(range(3), batches(), strict=False):
        assert torch.equal(model.conv1[0].weight, before)
        objective.step(batch, [None], step)
    assert not torch.equal(model.conv1[0].weight, before)


def test_layers_nearer_to_the_image_learn_more_slowly(
    model: nn.Module, accelerator: Accelerator
) -> None:
    objective = ClassificationObjective(model, settings(layer_decay=0.5), 4, accelerator)
    objective.step(next(batches()), [None], 0)
    rates = {
        id(parameter): group["lr"]
        for group in objective.optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(rates) == len(list(model.parameters()))
    assert rates[id(model.fc.weight)] == pytest.approx(0.1)
    assert rates[id(model.layer4[0].conv1.weight)] < rates[id(model.fc.weight)]
    assert rates[id(model.conv1[0].weight)] < rates[id(model.layer1[0].conv1.weight)]


def test_statistics_stay_while_weights_learn(model: nn.Module, accelerator: Accelerator) -> None:
    usual, held = (
        changed(model, settings(freeze_norm=frozen), 4, accelerator) for frozen in (False, True)
    )
    assert usual["bn1.running_mean"] > 0
    assert held["bn1.running_mean"] == 0
    assert held["bn1.weight"] > 0


def test_trainings_from_scratch_know_nothing_of_it() -> None:
    tuned = settings(layer_decay=0.5, head_epochs=1, freeze_norm=True)
    plain = tuned.from_scratch(7)
    assert plain == settings(epochs=7, start="scratch")
    assert not any(getattr(plain, name) for name in FINE_TUNING)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["retrain.layer_decay=0.5"], "retrain.layer_decay are of fine-tuning"),
        (["retrain.start=inherited", "retrain.head_epochs=99"], "must not be above retrain.epochs"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], part: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        load_recipe(["recipe=digits", f"run={tmp_path}", *words])
    assert part in str(raised.value)
