"""Networks that start from a stock model of timm: what is taken, and what is not."""

from __future__ import annotations

import random

import pytest
import timm
import torch
from torch import Tensor, nn

from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError
from fewshot_core.spaces.region import Region
from fewshot_core.supernet.pretrained import WeightsReport
from fewshot_tasks.imagenet.build import timm_network
from fewshot_tasks.imagenet.settings import MobileSettings, make_space
from fewshot_tasks.imagenet.skeleton import Block
from fewshot_tasks.imagenet.space import MobileSpace
from fewshot_tasks.imagenet.stock import SUITED, load_stock
from tests.tasks.imagenet.spaces import FULL

OFA = FULL["ofa"]
CLASSES = 7
DEPTHS = (2, 3, 4, 2, 3)
"""Blocks of the units of mobilenetv3_large_100."""


def stock(name: str = "mobilenetv3_large_100") -> nn.Module:
    """With weights and statistics like a trained one's, nowhere one or zero."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=CLASSES)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.02 * torch.rand_like(value))
    return model.eval()


def network(blocks: list[list[Block]]) -> nn.Module:
    torch.manual_seed(1)
    shape = ImageShape(3, 32, CLASSES)
    return timm_network(OFA.skeleton, OFA.arch_def(OFA.of_blocks(blocks)), shape).eval()


def alike(block: Block, depths: tuple[int, ...] = DEPTHS) -> list[list[Block]]:
    return [[block] * depth for depth in depths]


def load(mine: nn.Module, model: nn.Module) -> WeightsReport:
    return load_stock(mine, model, OFA.skeleton, "retrain.start=timm:it", OFA.name)


@pytest.fixture(scope="module")
def large() -> nn.Module:
    return stock()


def test_a_larger_network_computes_what_the_model_computes(large: nn.Module) -> None:
    mine = network(alike(Block(7, 6)))
    report = load(mine, large)
    assert not report.left
    assert report.unread == ("conv_head.bias",)  # which networks of the space do not have
    assert not report.sliced
    assert not report.derived
    assert "blocks.1.0.conv_dw.weight" in report.grown
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    bias = large.conv_head.bias.detach().clone()  # type: ignore[union-attr]
    with torch.no_grad():
        large.conv_head.bias.zero_()  # type: ignore[union-attr]
        expected = large(x)
        large.conv_head.bias.copy_(bias)  # type: ignore[union-attr]
        torch.testing.assert_close(mine(x), expected)
    # What is not heard of yet is learned: its gradients are not zero.
    mine(x).square().sum().backward()
    grown = mine.get_parameter("blocks.1.0.conv_pwl.weight")
    assert (grown[:, 64:] == 0).all()
    assert (grown.grad[:, 64:] != 0).any()  # type: ignore[index]


def test_a_smaller_network_has_leading_channels_and_centres(large: nn.Module) -> None:
    mine = network(alike(Block(3, 3)))
    report = load(mine, large)
    found, given = mine.state_dict(), large.state_dict()

    def same(name: str, part: Tensor) -> bool:
        return torch.equal(found[name], part)

    assert report.copied["conv_stem.weight"] == "conv_stem.weight"
    assert same("conv_stem.weight", given["conv_stem.weight"])
    assert same("classifier.weight", given["classifier.weight"])
    last = "blocks.5.1."  # of 960 channels there and of 480 here, kernels of 5 and 3
    assert report.sliced[f"{last}conv_pw.weight"] == f"{last}conv_pw.weight"
    assert same(f"{last}conv_pw.weight", given[f"{last}conv_pw.weight"][:480])
    assert same(f"{last}conv_pwl.weight", given[f"{last}conv_pwl.weight"][:, :480])
    assert same(f"{last}bn2.running_var", given[f"{last}bn2.running_var"][:480])
    squeezed = given[f"{last}se.conv_reduce.weight"][:120, :480]
    assert same(f"{last}se.conv_reduce.weight", squeezed)
    assert f"{last}conv_dw.weight" in report.derived
    assert same(f"{last}conv_dw.weight", given[f"{last}conv_dw.weight"][:480, :, 1:4, 1:4])
    assert "blocks.2.0.conv_dw.weight" in report.derived  # as wide as here


def test_every_tensor_is_accounted_for(large: nn.Module) -> None:
    rng = random.Random(3)
    for _ in range(3):
        drawn = [[Block(rng.choice((3, 5, 7)), rng.choice((3, 4, 6)))] * 4 for _ in DEPTHS]
        mine = network(drawn)
        before = {name: value.clone() for name, value in mine.state_dict().items()}
        report = load(mine, large)
        taken = [report.copied, report.sliced, report.derived, report.grown]
        names = [name for pairs in taken for name in pairs]
        assert sorted([*names, *report.left]) == sorted(before)
        used = {source for pairs in taken for source in pairs.values()}
        assert used | set(report.unread) == set(large.state_dict())
        # A third and a fourth block of the first unit have no counterpart.
        assert {"blocks.1.2.conv_pw.weight", "blocks.1.3.bn3.bias"} <= set(report.left)
        after = mine.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in report.left)
        assert str(report).count(f"{len(report.grown)} grown") == bool(report.grown)


def test_a_head_for_other_classes_is_left() -> None:
    model = timm.create_model("mobilenetv3_large_100", num_classes=CLASSES + 1)
    report = load(network(alike(Block(3, 3))), model)
    assert set(report.left) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(("space", "name"), [(s, n) for s, names in SUITED.items() for n in names])
def test_suited_models_fit_every_unit(space: str, name: str) -> None:
    made = make_space(MobileSettings(space=space), 224)
    assert isinstance(made, MobileSpace)
    architecture = Region.root(made).sample(random.Random(0))
    shape = ImageShape(3, 224, CLASSES)
    mine = timm_network(made.skeleton, made.arch_def(architecture), shape)
    report = load_stock(mine, stock(name), made.skeleton, name, space)
    taken = {*report.copied, *report.sliced, *report.derived, *report.grown}
    stages = {int(name.split(".")[1]) for name in taken if name.startswith("blocks.")}
    first = len(made.skeleton.before)
    # A unit that begins with a block of another kind has nothing to take.
    assert len(stages & set(range(first, first + len(made.skeleton.units)))) >= 5
    assert {"conv_stem.weight", "conv_head.weight"} <= taken


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("resnet10t", "is of no mobile family | found: ResNet | allowed: MobileNetV3"),
        ("mobilenetv2_035", "is of another family | found: EfficientNet"),
        ("lcnet_035", "no block of it fits the networks of ofa_mbv3 | found: units of"),
        ("mobilenetv4_conv_small_035", "no block of it fits"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, part: str) -> None:
    mine = network(alike(Block(3, 3)))
    before = {key: value.clone() for key, value in mine.state_dict().items()}
    with pytest.raises(RecipeError) as raised:
        load(mine, timm.create_model(name, num_classes=CLASSES))
    line = str(raised.value)
    assert part in line
    assert "retrain.start=timm:mobilenetv3_large_100" in line
    assert "\n" not in line
    assert all(torch.equal(before[key], value) for key, value in mine.state_dict().items())
