from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fewshot_core.errors import DataError, RecipeError
from fewshot_core.evaluators._proxies import NASWOT_FLOOR, SYNFLOW_FLOOR, naswot, synflow

SIZE = (3, 6, 6)
Score = Callable[[nn.Module], float]


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make()


def linear_net(*widths: int) -> nn.Sequential:
    layers = (nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
    return nn.Sequential(nn.Flatten(), *layers)


class Convolutions(nn.Module):
    """Two convolutions with batch norm, a parallel path, biases and dropout."""

    def __init__(self, norm: bool = True, **options: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4, **options) if norm else nn.Identity()
        self.relu = nn.ReLU()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.relu(self.drop(x + self.second(x)))
        return self.head(x.mean((2, 3)))


def images(count: int = 8, seed: int = 0) -> Tensor:
    return torch.randn(count, *SIZE, generator=torch.Generator().manual_seed(seed))


def both() -> list[pytest.param]:
    return [
        pytest.param(lambda m: synflow(m, SIZE), id="synflow"),
        pytest.param(lambda m: naswot(m, images()), id="naswot"),
    ]


# --- both


@pytest.mark.parametrize("score", both())
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(score: Score, training: bool) -> None:
    model = seeded(Convolutions).train(training)
    model.head.weight.requires_grad_(False)
    model.norm.running_mean.fill_(0.3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    score(model)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(after[name].dtype == before[name].dtype for name in before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.head.weight.requires_grad
    assert model.first.weight.requires_grad
    assert all(module.training == training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("score", both())
def test_the_mode_and_old_statistics_do_not_matter(score: Score) -> None:
    model = seeded(Convolutions)
    expected = score(model.train())
    model.norm.running_mean.fill_(-3)
    model.norm.running_var.fill_(7)
    assert score(model.eval()) == score(model.train()) == expected


@pytest.mark.parametrize("score", both())
def test_the_weights_decide(score: Score) -> None:
    one, same, other = (score(seeded(Convolutions, seed)) for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("score", both())
def test_the_caller_may_have_turned_gradients_off(score: Score) -> None:
    model = seeded(Convolutions)
    expected = score(model)
    with torch.no_grad():
        assert score(model) == expected


# --- SynFlow


@pytest.mark.parametrize("widths", [(108, 5), (108, 7, 4), (108, 9, 6, 3)])
def test_flow_of_a_linear_net_is_its_layers_times_its_output(widths: tuple[int, ...]) -> None:
    """Every path holds one weight of each layer, so each layer passes the whole output on."""
    model = seeded(lambda: linear_net(*widths))
    signal = np.ones(108)
    for layer in list(model)[1:]:
        signal = np.abs(layer.weight.detach().double().numpy()) @ signal
    layers = len(widths) - 1
    assert synflow(model, SIZE) == pytest.approx(math.log(layers * signal.sum()), abs=1e-12)


def test_flow_of_parallel_paths_adds_up() -> None:
    """Checked against finite differences: d log R / d log theta, summed, is the flow over R."""
    model = seeded(lambda: Convolutions(norm=False)).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.zeros(()) if name.endswith("bias") else parameter.abs())
        model.eval()
        weights = [p for n, p in model.named_parameters() if not n.endswith("bias")]

        def output() -> float:
            return float(model(torch.ones(1, *SIZE, dtype=torch.float64)).sum())

        expected, step = 0.0, 1e-6
        for weight in weights:  # all of a tensor at once: the directional derivative along it
            weight.mul_(1 + step)
            high = output()
            weight.mul_((1 - step) / (1 + step))
            expected += (high - output()) / (2 * step)
            weight.div_(1 - step)
    assert synflow(model, SIZE) == pytest.approx(math.log(expected), abs=1e-7)


def test_signs_do_not_matter() -> None:
    model = seeded(Convolutions)
    expected = synflow(model, SIZE)
    with torch.no_grad():
        model.second.weight.neg_()
        model.first.weight[:2].neg_()
    assert synflow(model, SIZE) == expected


def test_biases_do_not_count() -> None:
    model = seeded(Convolutions)
    expected = synflow(model, SIZE)
    with torch.no_grad():
        for bias in (model.head.bias, model.second.bias, model.norm.bias):
            bias.fill_(9)
    assert synflow(model, SIZE) == expected


@pytest.mark.parametrize("tracked", [True, False])
def test_batch_norm_without_weights_is_not_there(tracked: bool) -> None:
    plain = seeded(lambda: Convolutions(norm=False))
    normed = Convolutions(affine=False, track_running_stats=tracked)
    normed.load_state_dict(plain.state_dict(), strict=False)
    assert synflow(normed, SIZE) == pytest.approx(synflow(plain, SIZE), abs=1e-12)


@pytest.mark.parametrize("layer", ["first", "norm"])
def test_what_every_path_passes_multiplies_the_flow(layer: str) -> None:
    """Batch norm that normalised would take the factor out again."""
    model = seeded(Convolutions)
    expected = synflow(model, SIZE) + math.log(2)
    with torch.no_grad():
        getattr(model, layer).weight.mul_(2)
    assert synflow(model, SIZE) == pytest.approx(expected, abs=1e-12)


class Severed(Convolutions):
    """Nothing of the image reaches the head."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.zeros_like(self.first(x)).mean((2, 3)))


class Silent(Convolutions):
    """No parameter reaches the output."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 5)


@pytest.mark.parametrize("make", [Severed, Silent, nn.Flatten])
def test_a_network_without_a_path_is_the_lowest(make: Callable[[], nn.Module]) -> None:
    assert synflow(seeded(make), SIZE) == SYNFLOW_FLOOR
    assert math.isfinite(SYNFLOW_FLOOR)
    assert synflow(seeded(Convolutions), SIZE) > SYNFLOW_FLOOR


def with_weights(value: float) -> nn.Sequential:
    model = linear_net(108, 4, 4).double()
    for layer in list(model)[1:]:
        nn.init.constant_(layer.weight, value)
    return model


def test_a_flow_too_small_for_a_number_is_the_lowest() -> None:
    assert synflow(with_weights(1e-100), SIZE) > SYNFLOW_FLOOR
    assert synflow(with_weights(1e-200), SIZE) == SYNFLOW_FLOOR


def test_a_flow_too_large_for_a_number_is_an_error() -> None:
    with pytest.raises(RecipeError, match="too deep for SynFlow"):
        synflow(with_weights(1e200), SIZE)


# --- NASWOT


def relu_net(*widths: int, shared: bool = False, inplace: bool = False) -> nn.Sequential:
    relu = nn.ReLU(inplace)
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), relu if shared else nn.ReLU(inplace)]
    return nn.Sequential(*layers)


def by_definition(model: nn.Sequential, batch: Tensor) -> float:
    """NASWOT in numpy, image pair by image pair."""
    x = batch.flatten(1).double().numpy()
    codes = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            weight, bias = (p.detach().double().numpy() for p in (layer.weight, layer.bias))
            x = np.maximum(x @ weight.T + bias, 0)
            codes.append(x > 0)
    code = np.concatenate(codes, axis=1)
    kernel = [[code.shape[1] - np.count_nonzero(a != b) for b in code] for a in code]
    sign, value = np.linalg.slogdet(np.array(kernel, dtype=float))
    assert sign == 1
    return float(value)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_the_score_is_that_of_the_definition(shared: bool, inplace: bool) -> None:
    model = seeded(lambda: relu_net(108, 30, 20, shared=shared, inplace=inplace))
    assert naswot(model, images()) == pytest.approx(by_definition(model, images()), abs=1e-9)


def test_a_relu_that_does_not_run_is_not_counted() -> None:
    model = seeded(Convolutions)
    expected = naswot(model, images())
    model.unused = nn.ReLU()
    assert naswot(model, images()) == expected


def test_the_order_of_the_images_does_not_matter() -> None:
    model = seeded(Convolutions)
    turned = naswot(model, images().flip(0))
    assert turned == pytest.approx(naswot(model, images()), abs=1e-9)


def test_batch_norm_sees_the_images() -> None:
    """Statistics of the batch take brightness and contrast out."""
    model = nn.Sequential(nn.BatchNorm2d(3, eps=1e-9), seeded(Convolutions))
    expected = naswot(model, images())
    assert naswot(model, images() * 4 + 8) == pytest.approx(expected, abs=1e-9)
    assert naswot(model, images(seed=1)) != expected


def test_dropout_does_not_draw() -> None:
    model = seeded(Convolutions).train()
    assert len({naswot(model, images()) for _ in range(3)}) == 1


def test_images_with_one_code_make_the_kernel_singular() -> None:
    model = seeded(Convolutions)
    assert naswot(model, images()[[0, 1, 2, 3, 4, 5, 6, 0]]) == NASWOT_FLOOR
    assert naswot(model, images()[[0] * 8]) == NASWOT_FLOOR
    assert naswot(model, images()) > 0


def test_more_images_than_codes_can_tell_apart_make_the_kernel_singular() -> None:
    assert naswot(seeded(lambda: relu_net(108, 2)), images(40)) == NASWOT_FLOOR


def test_every_kernel_that_is_not_singular_is_above_the_floor() -> None:
    """The smallest determinant of whole numbers is 1, and these kernels are small."""
    scores = [naswot(seeded(lambda: relu_net(108, 3), seed), images(3, seed)) for seed in range(40)]
    assert all(score == NASWOT_FLOOR or score >= 0 for score in scores)
    assert NASWOT_FLOOR < 0  # so it is below them
    assert any(score == NASWOT_FLOOR for score in scores)
    assert any(score >= 0 for score in scores)


@pytest.mark.parametrize("count", [0, 1])
def test_one_image_cannot_be_compared(count: int) -> None:
    with pytest.raises(DataError, match=f"compares images.*{count}.*2 or more"):
        naswot(seeded(Convolutions), images(count))


def test_a_network_without_relus_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"NASWOT needs networks with nn\.ReLU"):
        naswot(seeded(lambda: linear_net(108, 4)), images())
