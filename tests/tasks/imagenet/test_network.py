from __future__ import annotations

import os
import random

import pytest
import timm
import torch
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet import network
from fewshot_tasks.imagenet.costs import cost_table
from fewshot_tasks.imagenet.skeleton import Block
from fewshot_tasks.imagenet.space import MobileSpace
from tests.tasks.imagenet.spaces import FULL, SMALL

assert network  # it registers the models

IMAGENET = ImageShape(3, 224, 1000)
OFA_SMALLEST = [[Block(3, 3)] * 2] * 5
OFA_LARGEST = [[Block(7, 6)] * 4] * 5


def build(space: MobileSpace, architecture: Architecture, **settings: object) -> nn.Module:
    arguments = space.skeleton.arguments() | settings
    return timm.create_model(
        space.skeleton.model, arch_def=space.arch_def(architecture), **arguments
    )


def all_blocks(kernel: int, expansion: int) -> list[list[Block]]:
    return [[Block(kernel, expansion)] * 4] * 5 + [[Block(kernel, expansion)]]


GOLDEN = [
    ("ofa", OFA_SMALLEST, 224, 121_278_672, 3_410_792),
    ("ofa", OFA_LARGEST, 224, 566_170_656, 7_664_760),
    ("ofa", OFA_SMALLEST, 128, 41_476_224, 3_410_792),
    ("ofa", OFA_LARGEST, 128, 188_248_320, 7_664_760),
    ("ofa at 1.2", OFA_SMALLEST, 224, 193_078_200, 4_602_456),
    ("ofa at 1.2", OFA_LARGEST, 224, 843_101_040, 10_701_632),
    ("proxyless", [[Block(3, 3)]] * 6, 224, 102_528_896, 2_154_984),
    ("proxyless", all_blocks(3, 6), 224, 472_620_800, 4_684_776),
    ("proxyless", all_blocks(7, 6), 224, 606_590_720, 5_103_336),
]
"""Published to three digits: 121M and 566M, 41.5M and 188M, 193M and 843M, 102.5M, 473M, 607M."""


@pytest.mark.parametrize(("name", "blocks", "size", "flops", "params"), GOLDEN)
def test_golden_figures(name: str, blocks: list, size: int, flops: int, params: int) -> None:
    space = FULL[name]
    architecture = space.of_blocks(blocks)
    costs = cost_table(space, ImageShape(3, size, 1000)).costs(architecture)
    assert (costs["flops"], costs["params"]) == (flops, params)
    assert (costs["connected_flops"], costs["connected_params"]) == (flops, params)
    model = build(space, architecture)
    assert sum(parameter.numel() for parameter in model.parameters()) == params
    measured = measure(model, (3, size, size))
    assert measured == {key: costs[key] for key in measured}


def test_mobilenet_is_counted_as_in_its_paper() -> None:
    measured = measure(timm.create_model("mobilenetv3_large_100"), (3, 224, 224))
    assert measured["flops"] == 216_589_760
    assert measured["fvcore_flops"] == 225_436_416


def _equal_to_fvcore(space: MobileSpace, count: int, sizes: list[int]) -> None:
    rng = random.Random(0)
    for number in range(count):
        size = sizes[number % len(sizes)]
        shape = ImageShape(1 + number % 4, size, 2 + number % 9)
        architecture = space.sample(rng)
        costs = cost_table(space, shape).costs(architecture)
        model = build(space, architecture, num_classes=shape.classes, in_chans=shape.channels)
        measured = measure(model, shape.input_size)
        assert measured == {key: costs[key] for key in measured}, (size, architecture)


@pytest.mark.parametrize("name", FULL)
def test_the_table_is_what_fvcore_counts(name: str) -> None:
    _equal_to_fvcore(FULL[name], 6, [33, 64, 97])


@pytest.mark.parametrize("name", SMALL)
def test_the_table_of_a_variant_is_what_fvcore_counts(name: str) -> None:
    _equal_to_fvcore(SMALL[name], 20, [7, 8, 9, 15])


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("FEWSHOT_SLOW"), reason="takes four minutes; FEWSHOT_SLOW=1 runs it"
)
@pytest.mark.parametrize("name", FULL)
def test_the_table_is_what_fvcore_counts_for_200_networks(name: str) -> None:
    _equal_to_fvcore(FULL[name], 200, [65, 128, 145, 161, 224])


def test_the_cheapest_network_is_found_without_enumeration() -> None:
    for name, blocks in (("ofa", OFA_SMALLEST), ("proxyless", [[Block(3, 3)]] * 6)):
        space = FULL[name]
        table = cost_table(space, IMAGENET)
        for measure_name in ("flops", "params"):
            cheapest = table.cheapest(Region.root(space), measure_name)
            assert space.canonical(cheapest) == space.of_blocks(blocks)


# --- timm models


@pytest.mark.parametrize(
    ("name", "kind"),
    [("ofa", MobileNetV3), ("proxyless", EfficientNet)],
)
def test_a_network_is_an_ordinary_timm_model(name: str, kind: type) -> None:
    space = FULL[name]
    model = build(space, space.sample(random.Random(0)), num_classes=5).eval()
    assert type(model) is kind
    images = torch.randn(2, 3, 64, 64)
    assert model(images).shape == (2, 5)
    assert model.forward_head(model.forward_features(images), pre_logits=True).shape == (2, 1280)
    model.reset_classifier(7)
    assert model(images).shape == (2, 7)
    assert model.default_cfg["first_conv"] == "conv_stem"


def test_details_of_the_papers() -> None:
    ofa = build(FULL["ofa"], FULL["ofa"].of_blocks(OFA_SMALLEST))
    assert ofa.conv_head.bias is None
    assert {m.eps for m in ofa.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    assert ofa.blocks[0][0].has_skip
    assert type(ofa.blocks[2][0].se.gate) is nn.Hardsigmoid
    assert type(ofa.blocks[4][0].se.act1) is nn.ReLU
    assert ofa.blocks[2][0].se.conv_reduce.out_channels == 24  # a quarter of 24 x 3, rounded
    mobile = build(FULL["proxyless"], FULL["proxyless"].of_blocks([[Block(3, 3)]] * 6))
    assert {m.eps for m in mobile.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert not mobile.blocks[0][0].has_skip
    assert type(mobile.bn1.act) is nn.ReLU6


@pytest.mark.parametrize("name", FULL)
def test_features_of_stages(name: str) -> None:
    space = FULL[name]
    architecture = space.sample(random.Random(0))
    for stem_stride in (2, 1):
        model = build(space, architecture, features_only=True, stem_stride=stem_stride)
        shapes = [tuple(f.shape[1:]) for f in model(torch.randn(1, 3, 64, 64))]
        assert [c for c, _, _ in shapes] == model.feature_info.channels()
        assert [64 // h for _, h, _ in shapes] == model.feature_info.reduction()


def test_a_stem_without_stride_keeps_the_pixels() -> None:
    space = SMALL["ofa"]
    model = build(space, space.sample(random.Random(0)))
    assert model.conv_stem.stride == (1, 1)
    assert model.forward_features(torch.randn(1, 3, 8, 8)).shape[-1] == 2
    assert [info["reduction"] for info in model.feature_info] == [1, 2, 4]
