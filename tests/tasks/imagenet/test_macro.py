"""NAS-Bench-Macro: figures that were published, and its blocks."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from timm.models._efficientnet_blocks import ConvBnAct, InvertedResidual
from torch import nn

from fewshot_core.data import ImageShape
from fewshot_core.errors import ArchitectureError
from fewshot_tasks.imagenet.build import timm_network
from fewshot_tasks.imagenet.costs import cost_table
from fewshot_tasks.imagenet.space import nasbench_macro
from tests.tasks.imagenet.spaces import small_macro

SPACE = nasbench_macro()
SHAPE = ImageShape(3, 32, 10)

GOLDEN = {
    "00000000": (387_882, 7_713_280),
    "00000001": (791_594, 14_115_328),
    "22212220": (1_985_514, 85_164_544),
    "11111111": (1_588_874, 53_246_464),
    "22222222": (2_932_586, 105_660_928),
}
"""Published parameters and multiply-adds."""


@pytest.mark.parametrize("code", GOLDEN)
def test_published_parameters_and_multiply_adds(code: str) -> None:
    architecture = SPACE.parse(code)
    figures = cost_table(SPACE, SHAPE).costs(architecture)
    assert (figures["params"], figures["flops"]) == GOLDEN[code]
    network = timm_network(SPACE.skeleton, SPACE.arch_def(architecture), SHAPE)
    assert sum(p.numel() for p in network.parameters()) == GOLDEN[code][0]
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_all_published_parameters_and_multiply_adds(shared_data: Path) -> None:
    table = cost_table(SPACE, SHAPE)
    with (shared_data / "nasbenchmacro" / "accuracies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == SPACE.size() == 6561
    for row in rows:
        figures = table.costs(SPACE.parse(row["arch"]))
        assert (figures["params"], figures["flops"]) == (int(row["params"]), int(row["flops"]))


def test_where_an_identity_stands_changes_nothing() -> None:
    networks = {SPACE.canonical(a) for a in SPACE.enumerate()}
    assert len(networks) == 3969
    assert SPACE.genotype(SPACE.canonical(SPACE.parse("10201002"))) == "10210020"
    # The first layer of a unit is no identity: it has a convolution of its own.
    assert SPACE.canonical(SPACE.parse("01010101")) == SPACE.parse("01010110")


def test_a_genotype_is_a_code_and_timms_strings_are_read() -> None:
    architecture = SPACE.parse(" 22212220\n")
    assert SPACE.genotype(architecture) == "22212220"
    text = " | ".join(" ".join(stage) for stage in SPACE.arch_def(architecture))
    assert text.startswith("ir_r1_k5_s2_e6_c64_nre ir_r1_k5_s1_e6_c64_nre | ")
    assert SPACE.parse(text) == architecture
    plain = SPACE.arch_def(SPACE.parse("00000000"))
    assert plain == [["cn_r1_k1_s2_c64_nid"], ["cn_r1_k1_s2_c128_nid"], ["cn_r1_k1_s2_c256_nid"]]


@pytest.mark.parametrize("text", ["2221222", "222122203", "2221222x", "", "3" * 8])
def test_a_bad_code_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ArchitectureError, match="8 digits from 0 to 2") as caught:
        SPACE.parse(text)
    assert "\n" not in str(caught.value)


def test_blocks_are_timms_with_relu_and_no_activation_after_a_plain_convolution() -> None:
    space = small_macro()
    network = timm_network(space.skeleton, space.arch_def(space.parse("01200000")), SHAPE)
    blocks = [block for stage in network.blocks for block in stage]  # type: ignore[union-attr]
    assert [type(block) for block in blocks] == [
        *(ConvBnAct, InvertedResidual),
        *(InvertedResidual,),
        *(ConvBnAct,),
    ]
    assert isinstance(blocks[0].bn1.act, nn.Identity)
    assert isinstance(blocks[1].bn1.act, nn.ReLU)
    assert not isinstance(blocks[1].bn1.act, nn.ReLU6)
    assert blocks[1].bn1.eps == 1e-5
    assert network.conv_stem.stride == (1, 1)
