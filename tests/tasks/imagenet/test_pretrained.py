"""once-for-all's weights in our supernets: against its own package, and against ours without it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.pretrained import PUBLISHED, load_ofa, ofa_weights
from fewshot_tasks.imagenet.skeleton import (
    Block,
    lab_variant,
    ofa_skeleton,
    proxyless_skeleton,
)
from fewshot_tasks.imagenet.space import ElasticSpace, MobileSpace, ofa_mbv3, proxyless
from fewshot_tasks.imagenet.supernet import MobileSupernet

RESOLUTIONS = (96, 128, 160)
NETWORKS = 20

OTHER_SIDE = """
import random, sys
import torch
from safetensors.torch import save_file
from ofa.imagenet_classification.elastic_nn import networks

torch.set_num_threads(1)
torch.manual_seed(0)
make = networks.OFAProxylessNASNets if "proxyless" in sys.argv[1] else networks.OFAMobileNetV3
net = make(
    dropout_rate=0,
    width_mult=float(sys.argv[1].rpartition("w")[2]),
    ks_list=[3, 5, 7],
    expand_ratio_list=[3, 4, 6],
    depth_list=[2, 3, 4],
)
for name, value in net.state_dict().items():  # what is trained is nowhere one or zero
    if name.endswith(("running_var", "bn.weight")):
        value.uniform_(0.5, 1.5)
    elif name.endswith(("running_mean", "bias")):
        value.normal_(0, 0.1)
    elif name.endswith("_matrix"):
        value.add_(0.1 * torch.randn_like(value))
net.eval()
draw = random.Random(1)
blocks = len(net.blocks) - 1
found, sizes = {}, [int(size) for size in sys.argv[3:]]
for number in range(20):
    ks = [draw.choice((3, 5, 7)) for _ in range(blocks)]
    e = [draw.choice((3, 4, 6)) for _ in range(blocks)]
    d = [draw.choice((2, 3, 4)) for _ in net.block_group_info]
    net.set_active_subnet(ks=ks, e=e, d=d)
    for size in sizes:
        x = torch.randn(1, 3, size, size)
        with torch.no_grad():
            found[f"{number}.{size}.out"] = net(x)
        found[f"{number}.{size}.x"] = x
    for key, value in (("ks", ks), ("e", e), ("d", d)):
        found[f"{number}.{key}"] = torch.tensor(value)
for name, value in net.state_dict().items():
    found[f"weights.{name}"] = value.clone().contiguous()
save_file(found, sys.argv[2])
"""
"""The same random weights, 20 networks, and what the package makes of them."""


def whole(space: MobileSpace, classes: int = 5, **settings: object) -> MobileSupernet:
    region = Region.root(space)
    return MobileSupernet(region, ImageShape(3, 32, classes), **settings)  # type: ignore[arg-type]


def small(**settings: object) -> MobileSupernet:
    return whole(small_space(), **settings)  # type: ignore[arg-type]


def small_space(expansions: tuple[int, ...] = (3, 4, 6)) -> ElasticSpace:
    skeleton = lab_variant(ofa_skeleton(0.5, 2), units=[1, 2], stem_stride=1, head=16)
    return ofa_mbv3(skeleton, depths=(1, 2), expansions=expansions)


def shaken(supernet: MobileSupernet) -> MobileSupernet:
    """With weights and statistics like a trained one's, nowhere one or zero."""
    torch.manual_seed(3)
    with torch.no_grad():
        for value in supernet.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    return supernet.eval()


def test_the_port_computes_what_the_package_computes(tmp_path: Path) -> None:
    """``FEWSHOT_OFA`` names the folder in which the package ``ofa`` lies."""
    folder = os.environ.get("FEWSHOT_OFA")
    if not folder:
        pytest.skip(
            "needs the package ofa: FEWSHOT_OFA=FOLDER, from pip install --no-deps -t FOLDER ofa"
        )
    spaces: dict[str, Callable[[], MobileSpace]] = {
        "w1.0": ofa_mbv3,
        "mbv3_d234_e346_k357_w1.2": lambda: ofa_mbv3(ofa_skeleton(1.2)),
        "w1.3": lambda: proxyless(proxyless_skeleton(1.3), expansions=(3, 4, 6)),
    }
    for name in PUBLISHED:
        (space,) = (make() for end, make in spaces.items() if name.endswith(end))
        path = tmp_path / f"{name}.safetensors"
        words = [sys.executable, "-c", OTHER_SIDE, name, str(path), *map(str, RESOLUTIONS)]
        subprocess.run(words, check=True, env={**os.environ, "PYTHONPATH": folder}, timeout=600)
        compare_with_package(space, load_file(path))


def compare_with_package(space: MobileSpace, found: Mapping[str, Tensor]) -> None:
    weights = {
        name.removeprefix("weights."): value
        for name, value in found.items()
        if name.startswith("weights.")
    }
    supernet = whole(space, classes=1000).eval()
    report = load_ofa(supernet, weights)
    assert not report.left
    assert not report.unread
    for number in range(NETWORKS):
        choices = {k: found[f"{number}.{k}"].tolist() for k in ("ks", "e", "d")}
        architecture = architecture_of(space, **choices)
        for size in RESOLUTIONS:
            x, wanted = found[f"{number}.{size}.x"], found[f"{number}.{size}.out"]
            with torch.no_grad():
                logits = supernet(x, architecture)
            assert wanted.std() > 1e-3  # equal to 1e-5 would say nothing of smaller ones
            torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5)


def architecture_of(space: MobileSpace, ks: list[int], e: list[int], d: list[int]) -> Architecture:
    """once-for-all's lists as an architecture: four blocks a unit, the first ``d`` of them used."""
    units, start = [], 0
    depths = [*d, 1][: len(space.skeleton.units)]
    for unit, depth in zip(space.skeleton.units, depths, strict=True):
        units.append([Block(ks[start + i], e[start + i]) for i in range(min(depth, unit.slots))])
        start += unit.slots
    return space.of_blocks(units)


def test_weights_written_in_the_package_s_names_come_back() -> None:
    source, target = shaken(small()), small().eval()
    report = load_ofa(target, ofa_weights(source))
    assert set(report.copied) == set(source.state_dict())
    assert not report.left
    assert not report.unread
    for name, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[name]), name


def test_names_are_those_of_the_released_files() -> None:
    names = set(ofa_weights(small()))
    assert {
        "first_conv.conv.weight",
        "first_conv.bn.running_mean",
        "blocks.0.conv.depth_conv.conv.weight",
        "blocks.1.conv.inverted_bottleneck.conv.conv.weight",
        "blocks.1.conv.inverted_bottleneck.bn.bn.weight",
        "blocks.1.conv.depth_conv.conv.7to5_matrix",
        "blocks.1.conv.depth_conv.conv.5to3_matrix",
        "blocks.1.conv.depth_conv.conv.conv.weight",
        "blocks.3.conv.depth_conv.se.fc.reduce.bias",
        "blocks.4.conv.point_linear.bn.bn.num_batches_tracked",
        "final_expand_layer.bn.bias",
        "feature_mix_layer.conv.weight",
        "classifier.linear.bias",
    } <= names


def test_older_spellings_are_understood() -> None:
    def older(name: str) -> str:
        name = name.replace("blocks.1.conv.", "blocks.1.mobile_inverted_conv.")
        name = name.replace(".bn.bn.", ".bn.").replace("classifier.", "classifier.linear.")
        return name

    source, target = shaken(small()), small()
    load_ofa(target, {older(name): value for name, value in ofa_weights(source).items()})
    theirs, mine = source.state_dict(), target.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in theirs.items())


def test_a_head_for_other_classes_is_left() -> None:
    target = whole(small_space(), classes=7)
    before = target.frame.classifier.weight.clone()  # type: ignore[union-attr,operator]
    report = load_ofa(target, ofa_weights(shaken(small())))
    assert report.left == ("frame.classifier.weight", "frame.classifier.bias")
    assert report.unread == ("classifier.linear.weight", "classifier.linear.bias")
    assert torch.equal(before, target.frame.classifier.weight)  # type: ignore[arg-type]


def test_narrower_spaces_slice_and_compute_the_same() -> None:
    """The region's kernels are 5 and 3 and its expansions 3 and 4: cut out of 7 and 6."""
    source = shaken(small())
    space = small_space((3, 4))
    space = ofa_mbv3(space.skeleton, depths=(1, 2), kernels=(3, 5), expansions=(3, 4))
    target = whole(space)
    report = load_ofa(target.eval(), ofa_weights(source))
    assert report.derived["units.0.0.conv_dw.weight"] == "blocks.1.conv.depth_conv.conv.conv.weight"
    assert "units.0.0.conv_pw.weight" in report.sliced
    assert not report.left
    check_equal(source, target)


@pytest.mark.parametrize("kernels", [(3, 5, 7), (3, 5)])
def test_kernels_of_each_operation_are_worked_out(kernels: tuple[int, ...]) -> None:
    """``proxyless`` has no shared kernels: each is made of the largest and its matrices."""
    skeleton = lab_variant(proxyless_skeleton(0.5, 2), units=[1, 2], stem_stride=1, head=16)
    space = proxyless(skeleton, kernels=kernels, expansions=(3, 6))
    target = whole(space).eval()
    elastic = whole(ofa_mbv3(skeleton, depths=(1, 2), kernels=kernels, expansions=(3, 6)))
    source = shaken(elastic)
    report = load_ofa(target, ofa_weights(source))
    assert "units.0.0.operations.k3e3.conv_dw.weight" in report.derived
    assert not report.left
    assert not report.unread
    check_equal(source, target)


def check_equal(source: MobileSupernet, target: MobileSupernet) -> None:
    """Networks of the target are those of the source."""
    draw, x = random.Random(0), torch.randn(2, 3, 32, 32)
    for _ in range(8):
        architecture = target.space.canonical(target.region.sample(draw))
        blocks = [[block for _, block in unit] for unit in target.space.units(architecture)]
        with torch.no_grad():
            wanted = source(x, source.space.of_blocks(blocks))
            torch.testing.assert_close(target(x, architecture), wanted, rtol=1e-5, atol=1e-5)


def test_weights_of_another_width_are_refused() -> None:
    other = whole(ofa_mbv3(ofa_skeleton(1.0, 2), depths=(1, 2)))
    with pytest.raises(RecipeError, match="other widths"):
        load_ofa(other, ofa_weights(small()))


@pytest.mark.parametrize(
    "missing", ["first_conv.conv.weight", "blocks.1.conv.depth_conv.bn.bn.bias"]
)
def test_weights_that_lack_a_layer_are_refused(missing: str) -> None:
    weights = ofa_weights(small())
    del weights[missing]
    with pytest.raises(RecipeError, match="do not fit 1 tensors"):
        load_ofa(small(), weights)


def test_kernels_that_have_no_matrices_are_refused() -> None:
    weights = ofa_weights(small())
    with pytest.raises(RecipeError, match="learned_kernels=true"):
        load_ofa(small(learned_kernels=False), weights)
    space = ofa_mbv3(small_space().skeleton, depths=(1, 2), kernels=(3, 7))
    with pytest.raises(RecipeError, match="neighbours"):
        load_ofa(whole(space), weights)
