"""Distillation: what networks and supernets learn from a model of timm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from timm.models import save_for_hf
from torch import Tensor, nn

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.trainings import (
    ParentSettings,
    RegionSettings,
    RetrainSettings,
    SupernetSettings,
    TrainingSettings,
)
from fewshot_core.spaces.paths.sandwich import SandwichSettings
from fewshot_core.spaces.paths.uniform import UniformSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet
from fewshot_core.testing.toys import toy_space
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.teacher import Teacher

CLASSES, WEIGHT, SMOOTHING = 3, 0.5, 0.1
ROOT = Region.root(toy_space(2, CLASSES))
PATHS = [ROOT.space.architecture({"a": 0, "b": option}) for option in (0, 2, 1)]


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(3)
    model = timm.create_model("test_efficientnet", num_classes=CLASSES, in_chans=1)
    save_for_hf(model, folder, model_args={"in_chans": 1}, safe_serialization=True)
    return f"local-dir:{folder}"


def plainly(kind: type[TrainingSettings], **more: Any) -> Any:
    """Settings whose steps are easily worked out."""
    plain = {"epochs": 1, "lr": 0.1, "momentum": 0, "weight_decay": 0, "grad_clip": None}
    taught = {"teacher_weight": WEIGHT, "label_smoothing": SMOOTHING}
    return kind(**(plain | taught | more))


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 1, 8, 8, generator=generator), torch.arange(6) % CLASSES


def learnt(x: Tensor, known: Tensor, taught: Tensor | None = None) -> Tensor:
    """The loss of logits that are to know ``known``, and what the teacher says."""
    hard = not known.is_floating_point()
    loss = F.cross_entropy(x, known, label_smoothing=SMOOTHING if hard else 0.0)
    return loss if taught is None else loss + WEIGHT * F.cross_entropy(x, taught)


class Pupil(Supernet):
    """A linear layer for each option of a decision."""

    def __init__(self) -> None:
        super().__init__(ROOT)
        torch.manual_seed(0)
        self.branches = nn.ModuleList(nn.Linear(64, CLASSES) for _ in range(3))

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        logits: Tensor = self.branches[int(architecture.choices[1])](x.flatten(1))
        return logits

    def extract(self, architecture: Architecture) -> nn.Module:
        raise NotImplementedError


class Together(Pupil):
    """The same in one program for all parts of a batch."""

    def path_batch(self, architectures: Sequence[Architecture], device: torch.device) -> Tensor:
        return torch.tensor([int(one.choices[1]) for one in architectures], device=device)

    def forward(self, x: Tensor, codes: Any) -> Tensor:
        weight = torch.stack([branch.weight for branch in self.branches])[codes]
        bias = torch.stack([branch.bias for branch in self.branches])[codes]
        parts = x.flatten(1).unflatten(0, (len(codes), -1))
        return (parts @ weight.mT + bias[:, None]).flatten(0, 1)


def probabilities(name: str, images: Tensor) -> Tensor:
    with torch.no_grad():
        return timm.create_model(name, pretrained=True).eval()(images).softmax(1)


def require_step(model: Pupil, reference: Pupil, loss: Tensor) -> None:
    loss.backward()
    for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        assert theirs.grad is not None
        torch.testing.assert_close(mine, theirs - 0.1 * theirs.grad)


class Net(nn.Module):
    num_classes = CLASSES

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))


def test_a_network_learns_from_labels_and_teacher(accelerator: Accelerator, teacher: str) -> None:
    net, reference, (images, targets) = Net(), Net(), batch()
    how = plainly(RetrainSettings, teacher=teacher)
    ClassificationObjective(net, how, 1, accelerator).step((images, targets), [None], 0)
    learnt(reference(images), targets, probabilities(teacher, images)).backward()
    expected = reference.layer.weight - 0.1 * reference.layer.weight.grad
    torch.testing.assert_close(net.layer.weight, expected)


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize("paths", [UniformSettings(), SandwichSettings(distill=False)])
def test_every_architecture_of_a_step_learns_from_it(
    paths: Any, micro_batch: int | None, accelerator: Accelerator, teacher: str
) -> None:
    model, reference, (images, targets) = Pupil(), Pupil(), batch()
    how = plainly(SupernetSettings, teacher=teacher, paths=paths, micro_batch=micro_batch)
    ClassificationObjective(model, how, 1, accelerator).step((images, targets), PATHS, 0)
    taught = probabilities(teacher, images)
    losses = [learnt(reference(images, path), targets, taught) for path in PATHS]
    require_step(model, reference, torch.stack(losses).mean())


def test_where_the_first_teaches_it_alone_learns_from_the_teacher(
    accelerator: Accelerator, teacher: str
) -> None:
    model, reference, (images, targets) = Pupil(), Pupil(), batch()
    how = plainly(SupernetSettings, teacher=teacher, paths=SandwichSettings(distill=True))
    ClassificationObjective(model, how, 1, accelerator).step((images, targets), PATHS, 0)
    first, *others = (reference(images, path) for path in PATHS)
    soft = first.detach().softmax(1)
    losses = [learnt(first, targets, probabilities(teacher, images))]
    losses += [learnt(x, soft) for x in others]
    require_step(model, reference, torch.stack(losses).mean())


@pytest.mark.parametrize("kind", [Pupil, Together], ids=["in turn", "at once"])
def test_parts_of_a_batch_learn_from_it(
    kind: type[Pupil], accelerator: Accelerator, teacher: str
) -> None:
    model, reference, (images, targets) = kind(), Pupil(), batch()
    how = plainly(SupernetSettings, teacher=teacher, paths=UniformSettings(together=3))
    ClassificationObjective(model, how, 1, accelerator).step((images, targets), PATHS, 0)
    taught = probabilities(teacher, images)
    parts = zip(PATHS, *(x.chunk(3) for x in (images, targets, taught)), strict=True)
    losses = [learnt(reference(x, path), y, soft) for path, x, y, soft in parts]
    require_step(model, reference, torch.stack(losses).mean())


def test_a_teacher_keeps_its_statistics(accelerator: Accelerator, teacher: str) -> None:
    one = Teacher(plainly(SupernetSettings, teacher=teacher), accelerator)
    first = one.teach(batch()[0])
    assert torch.equal(first, one.teach(batch()[0]))
    assert not first.requires_grad


@pytest.mark.parametrize(
    ("kind", "section"),
    [(RetrainSettings, "retrain"), (ParentSettings, "supernet"), (RegionSettings, "regions")],
)
def test_a_teacher_that_cannot_be_is_one_line(
    kind: type[TrainingSettings], section: str, accelerator: Accelerator, teacher: str
) -> None:
    how = plainly(kind, teacher="no_such_model")
    with pytest.raises(RecipeError, match=rf"{section}\.teacher=no_such_model") as caught:
        ClassificationObjective(Net(), how, 1, accelerator)
    assert "\n" not in str(caught.value)
    one, (images, _) = Teacher(replace(how, teacher=teacher), accelerator), batch()
    one.require(images, CLASSES)
    with pytest.raises(RecipeError, match=rf"{section}\.teacher=.* tells apart other classes"):
        one.require(images, 7)
    with pytest.raises(RecipeError, match=r"does not take the images of this training.*3x8x8"):
        one.require(images.expand(-1, 3, -1, -1), CLASSES)
