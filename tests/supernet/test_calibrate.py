from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.supernet import recalibrate_norms


class Two(nn.Module):
    """Two branches, of which one runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3)
        self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(2))

    def forward(self, x: Tensor, branch: int = 0) -> Tensor:
        return self.norms[branch](self.stem(x))


@pytest.fixture
def model() -> Two:
    torch.manual_seed(0)
    network = Two()
    with torch.no_grad():
        for norm in network.norms:
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            norm.num_batches_tracked.fill_(7)
    return network


@pytest.fixture
def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    # Of different sizes and levels, so that no weighted or moving average gives the same.
    return [torch.randn(n, 2, 5, 5, generator=generator) * n + n for n in (2, 5, 3)]


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def unchanged(model: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_statistics_are_the_plain_average_over_batches(model: Two, batches: list[Tensor]) -> None:
    with torch.no_grad():
        outputs = [model.stem(batch) for batch in batches]
    means = torch.stack([x.mean((0, 2, 3)) for x in outputs]).mean(0)
    variances = torch.stack([x.var((0, 2, 3)) for x in outputs]).mean(0)
    with recalibrate_norms(model, batches, model):
        torch.testing.assert_close(model.norms[0].running_mean, means)
        torch.testing.assert_close(model.norms[0].running_var, variances)


def test_inside_the_model_evaluates(model: Two, batches: list[Tensor]) -> None:
    model.train()
    with recalibrate_norms(model, iter(batches), model):
        assert not any(module.training for module in model.modules())
        first = model(batches[0])
        assert torch.equal(model(batches[0]), first)  # and moves no statistics


def test_everything_is_put_back(model: Two, batches: list[Tensor]) -> None:
    before = state(model)
    model.norms[0].momentum = 0.3
    with recalibrate_norms(model, batches, model):
        assert not unchanged(model, before)
    assert unchanged(model, before)
    assert [norm.momentum for norm in model.norms] == [0.3, 0.1]


def test_everything_is_put_back_after_an_error_inside(model: Two, batches: list[Tensor]) -> None:
    before = state(model)
    with pytest.raises(ZeroDivisionError), recalibrate_norms(model, batches, model):
        raise ZeroDivisionError
    assert unchanged(model, before)
    assert [norm.momentum for norm in model.norms] == [0.1, 0.1]


def test_everything_is_put_back_after_an_error_while_measuring(
    model: Two, batches: list[Tensor]
) -> None:
    before = state(model)
    seen: list[Tensor] = []

    def forward(images: Tensor) -> None:
        model(images)
        seen.append(images)
        if len(seen) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), recalibrate_norms(model, batches, forward):
        raise AssertionError("the block must not run on half the statistics")
    assert unchanged(model, before)
    assert not any(norm.training for norm in model.norms)


def test_only_what_runs_is_measured(model: Two, batches: list[Tensor]) -> None:
    with recalibrate_norms(model, batches, lambda x: model(x, 1)):
        assert model.norms[1].num_batches_tracked == 3
        assert model.norms[0].num_batches_tracked == 0


def test_architectures_do_not_mix(model: Two, batches: list[Tensor]) -> None:
    """What one architecture measured is not carried over to the next."""

    def output(images: list[Tensor]) -> Tensor:
        with recalibrate_norms(model, images, model):
            return model(batches[0])

    alone = output(batches[1:])
    output(batches[:1])
    assert torch.equal(output(batches[1:]), alone)


def test_without_batches_the_statistics_stay(model: Two, batches: list[Tensor]) -> None:
    before = state(model)
    with recalibrate_norms(model, [], model):
        assert unchanged(model, before)
        assert not model.training


def test_no_gradients_are_kept(model: Two, batches: list[Tensor]) -> None:
    tracked: list[bool] = []
    with recalibrate_norms(model, batches, lambda x: tracked.append(model(x).requires_grad)):
        pass
    assert tracked == [False] * 3


def test_layers_without_statistics_are_left_alone(batches: list[Tensor]) -> None:
    model = nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False))
    with recalibrate_norms(model, batches, model):
        model(batches[0])
