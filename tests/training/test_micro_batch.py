"""A step whose batch passes in pieces is the step of the whole batch, but for batch norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.recipe.trainings import SupernetSettings
from fewshot_core.spaces.paths.sandwich import SandwichSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import toy_space
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.forward import pieces_of

REGION = Region.root(toy_space(2, 3))
PATHS = [REGION.space.architecture({"a": 0, "b": option}) for option in (0, 2, 1)]
SETTINGS = SupernetSettings(batch_size=10, lr=0.1, optimizer="sgd", grad_clip=0.5)
SANDWICH = replace(SETTINGS, paths=SandwichSettings())


class Model(nn.Module):
    """Nothing in it depends on which images come together."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Linear(16, 3) for _ in range(3))
        self.seen: list[int] = []

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        self.seen.append(len(x))
        logits: Tensor = self.branches[int(architecture.choices[1])](x.flatten(1))
        return logits


def batch(images: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, 1, 4, 4, generator=generator), torch.arange(images) % 3


def stepped(settings: SupernetSettings, paths: Sequence[Architecture]) -> tuple[Model, Tensor]:
    torch.manual_seed(0)
    model = Model()
    objective = ClassificationObjective(model, settings, 4, Accelerator(cpu=True))
    return model, torch.stack([objective.step(batch(10), paths, n)["loss"] for n in range(3)])


@pytest.mark.parametrize("settings", [SETTINGS, SANDWICH], ids=["plain", "sandwich"])
@pytest.mark.parametrize("micro_batch", [2, 4, 9])
def test_gradients_and_losses_add_up(settings: SupernetSettings, micro_batch: int) -> None:
    """4 and 9 do not divide ten: pieces of unequal size count by their images."""
    whole, losses = stepped(settings, PATHS)
    pieces, their_losses = stepped(replace(settings, micro_batch=micro_batch), PATHS)
    assert max(pieces.seen) <= micro_batch
    assert sum(pieces.seen) == sum(whole.seen)
    assert torch.allclose(losses, their_losses, rtol=1e-6)
    for one, other in zip(whole.parameters(), pieces.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_batch_matters_to_that_comparison() -> None:
    whole, _ = stepped(SETTINGS, PATHS)
    other, _ = stepped(replace(SETTINGS, lr=0.09), PATHS)
    assert not torch.allclose(next(whole.parameters()), next(other.parameters()), rtol=1e-5)


@pytest.mark.parametrize("micro_batch", [None, 10, 11])
def test_a_batch_that_is_small_enough_stays_whole(micro_batch: int | None) -> None:
    (whole,) = pieces_of(batch(10), micro_batch)
    assert torch.equal(whole[0], batch(10)[0])


@pytest.mark.parametrize("images", range(3, 40))
@pytest.mark.parametrize("micro_batch", [2, 3, 8])
def test_no_piece_is_of_one_image(images: int, micro_batch: int) -> None:
    """Batch norm has no variance of one value per channel."""
    pieces = pieces_of(batch(images), micro_batch)
    sizes = [len(part) for part, _ in pieces]
    assert max(sizes) <= micro_batch
    assert max(sizes) - min(sizes) <= 1
    if micro_batch > 2 or images % 2 == 0:
        assert min(sizes) > 1
    for number, whole in enumerate(batch(images)):
        assert torch.equal(torch.cat([piece[number] for piece in pieces]), whole)
