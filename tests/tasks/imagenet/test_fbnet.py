"""FBNet: figures that were published, and its blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual
from torch import nn

from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.build import timm_network
from fewshot_tasks.imagenet.costs import cost_table
from fewshot_tasks.imagenet.fbnet import FbnetSpace, fbnet
from fewshot_tasks.imagenet.network import ShuffledSeparable
from fewshot_tasks.imagenet.skeleton import fbnet_skeleton

SHAPE = ImageShape(3, 224, 1000)

RELEASED = {
    "A": (
        "skip k3e3 k3e1 skip skip k5e6 k3e3 k5e1 k3e3 k5e6 k5e3 k5e1g2 k5e6 "
        "k3e6 k5e1g2 k5e3 k3e1g2 k5e6 k5e6 k5e3 k5e6 k5e6",
        1504,
        244.5,
    ),
    "B": (
        "k3e1 k3e6 k5e1 k3e1 k3e1 k5e6 k5e3 k3e6 k5e6 k5e6 k5e6 skip k5e3 "
        "k5e6 k3e1 k5e1 k5e3 k5e6 k5e1 k5e6 k5e6 k3e6",
        1984,
        291.1,
    ),
    "C": (
        "k3e1 k3e6 skip k3e1 k3e1 k5e6 k5e3 k5e6 k3e6 k5e6 k5e3 k5e6 k5e6 "
        "k5e6 k5e6 k5e6 k5e3 k5e6 k5e6 k5e6 k5e6 k3e6",
        1984,
        378.2,
    ),
}
"""Operations, features and millions of multiply-adds of the released networks, as facts of
facebookresearch/mobile-vision (Apache-2.0)."""


def released(name: str) -> tuple[FbnetSpace, Architecture]:
    text, head, _ = RELEASED[name]
    space = fbnet(replace(fbnet_skeleton(), head=head))
    return space, Architecture(space.name, tuple(text.split()))


@pytest.mark.parametrize("name", RELEASED)
def test_released_multiply_adds(name: str) -> None:
    """They count one for every element that is pooled, which we do not."""
    space, architecture = released(name)
    _, head, published = RELEASED[name]
    figures = cost_table(space, SHAPE).costs(architecture)
    assert round((figures["flops"] + 49 * head) / 1e6, 1) == published
    network = timm_network(space.skeleton, space.arch_def(architecture), SHAPE)
    measured = measure(network, SHAPE.input_size)
    assert measured == {key: figures[key] for key in measured}


def test_the_space_has_the_published_size() -> None:
    """A block that changes the shape cannot be skipped; the paper counts 9^22 all the same."""
    space = fbnet()
    assert len(space.decisions) == 22
    assert space.size() == 9**16 * 8**6


def test_the_widths() -> None:
    units = fbnet_skeleton().units
    assert [unit.width for unit in units] == [16, 24, 32, 64, 112, 184, 352]
    assert [unit.stride for unit in units] == [1, 2, 2, 2, 1, 2, 1]
    assert [unit.slots for unit in units] == [1, 4, 4, 4, 4, 4, 1]


def test_a_first_unit_that_is_skipped_has_no_stage() -> None:
    space, architecture = released("A")
    stages = space.arch_def(architecture)
    assert len(stages) == 6
    assert stages[0] == ["ir_r1_k3_s2_e3_c24_nre", "ds_r1_k3_s1_e1_c24_nre"]
    assert space.of_arch_def(stages) == space.canonical(architecture) == architecture


def test_blocks_are_timms_but_for_groups_of_channels() -> None:
    space, architecture = released("A")
    network = timm_network(space.skeleton, space.arch_def(architecture), SHAPE)
    blocks = [block for stage in network.blocks for block in stage]  # type: ignore[union-attr]
    kinds = {type(block) for block in blocks}
    assert kinds == {InvertedResidual, DepthwiseSeparableConv, ShuffledSeparable}
    grouped = [block for block in blocks if isinstance(block, ShuffledSeparable)]
    assert len(grouped) == 3
    assert all(block.conv_pw.groups == 2 for block in grouped)
    assert isinstance(grouped[0].bn1.act, nn.ReLU)
    assert isinstance(grouped[0].bn2.act, nn.Identity)


def test_every_group_sees_channels_of_every_group() -> None:
    """Of the second group of outputs half of the channels that it sees belong to the first half."""
    block = ShuffledSeparable(DepthwiseSeparableConv(8, 8, noskip=True), 2).eval()
    nn.init.ones_(block.conv_dw.weight)
    nn.init.ones_(block.conv_pw.weight)
    x = torch.zeros(1, 8, 3, 3)
    x[:, 1] = 1.0
    reached = block(x).abs().sum((0, 2, 3)) > 0
    assert reached.tolist() == [True] * 4 + [False] * 4
    x = torch.zeros(1, 8, 3, 3)
    x[:, 4] = 1.0
    assert block(x).abs().sum((0, 2, 3)).gt(0).tolist() == [True] * 4 + [False] * 4
    x = torch.zeros(1, 8, 3, 3)
    x[:, 2] = 1.0
    assert block(x).abs().sum((0, 2, 3)).gt(0).tolist() == [False] * 4 + [True] * 4
