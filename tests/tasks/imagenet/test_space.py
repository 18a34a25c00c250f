from __future__ import annotations

import json
import random

import pytest
from timm.models._efficientnet_builder import decode_arch_def, round_channels

from fewshot_core.errors import ArchitectureError, RecipeError
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.testing.spaces import Cost, SpaceSuite
from fewshot_tasks.imagenet.skeleton import (
    Block,
    lab_variant,
    ofa_skeleton,
    proxyless_skeleton,
    round_width,
)
from fewshot_tasks.imagenet.space import MobileSpace, ofa_mbv3, proxyless
from tests.tasks.imagenet.spaces import FULL, SMALL, small_fbnet, small_ofa, small_proxyless


class TestOfa(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return FULL["ofa"]

    @pytest.fixture
    def cost(self, space: MobileSpace) -> Cost:
        return lambda architecture: str(space.arch_def(architecture))


class TestProxyless(TestOfa):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return FULL["proxyless"]


class TestSmallOfa(TestOfa):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_ofa()


class TestSmallProxyless(TestOfa):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_proxyless()


class TestMacro(TestOfa):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return FULL["macro"]


class TestFbnet(TestOfa):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return FULL["fbnet"]


class TestSmallFbnet(TestOfa):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_fbnet()


# --- the spaces of the papers


def test_the_spaces_have_the_published_sizes() -> None:
    space = FULL["proxyless"]
    assert len(space.decisions) == 21
    assert space.size() == 6**6 * 7**15
    ofa = FULL["ofa"]
    assert len(ofa.decisions) == 5 + 2 * 20
    assert ofa.size() == 3**5 * 9**20  # with choices of blocks that a network does not have


def test_the_elastic_space_has_as_many_networks_as_counted_by_hand() -> None:
    skeleton = lab_variant(ofa_skeleton(1.0, 3), units=[1])
    space = ofa_mbv3(skeleton, depths=(2, 3), kernels=(3, 5), expansions=(3, 6))
    networks = {space.canonical(a) for a in space.enumerate()}
    assert len(networks) == 4**2 + 4**3


def test_the_operation_space_has_as_many_networks_as_counted_by_hand() -> None:
    skeleton = lab_variant(proxyless_skeleton(1.0, 3), units=[2])
    space = proxyless(skeleton, kernels=(3, 5), expansions=(3,))
    networks = {space.canonical(a) for a in space.enumerate()}
    assert len(networks) == 2 + 2**2 + 2**3


@pytest.mark.parametrize(
    ("width", "widths", "stem", "last", "head"),
    [
        (1.0, [24, 40, 80, 112, 160], 16, 960, 1280),
        (1.2, [32, 48, 96, 136, 192], 24, 1152, 1536),
    ],
)
def test_the_widths_of_ofa(
    width: float, widths: list[int], stem: int, last: int, head: int
) -> None:
    skeleton = ofa_skeleton(width)
    assert [unit.width for unit in skeleton.units] == widths
    assert (skeleton.stem, skeleton.first_width) == (stem, stem)
    assert (skeleton.last, skeleton.head) == (last, head)
    assert [unit.stride for unit in skeleton.units] == [2, 2, 2, 1, 2]
    assert [unit.squeeze for unit in skeleton.units] == [False, True, False, True, True]
    assert [unit.activation for unit in skeleton.units] == ["re", "re", "hs", "hs", "hs"]


def test_the_widths_of_proxyless() -> None:
    skeleton = proxyless_skeleton(1.0)
    assert [unit.width for unit in skeleton.units] == [24, 40, 80, 96, 192, 320]
    assert [unit.slots for unit in skeleton.units] == [4, 4, 4, 4, 4, 1]
    assert [unit.stride for unit in skeleton.units] == [2, 2, 2, 1, 2, 1]
    assert (skeleton.stem, skeleton.first_width, skeleton.head) == (32, 16, 1280)
    assert proxyless_skeleton(1.4).head == 1792
    assert proxyless_skeleton(0.5).head == 1280


def test_widths_are_rounded_as_timm_rounds() -> None:
    for tenths in range(1, 20_000, 7):
        assert round_width(tenths / 10) == round_channels(tenths / 10)


# --- genotypes


@pytest.mark.parametrize("name", ["ofa", "ofa at 1.2", "proxyless"])
def test_a_genotype_is_timms_strings(name: str) -> None:
    space = FULL[name]
    architecture = space.canonical(space.sample(random.Random(1)))
    stages = [stage.split() for stage in space.genotype(architecture).split("|")]
    assert stages == space.arch_def(architecture)
    decoded = decode_arch_def(stages)
    assert [len(stage) for stage in decoded] == [len(stage) for stage in stages]
    assert space.parse(json.dumps(stages)) == architecture


@pytest.mark.parametrize("name", SMALL)
def test_equal_networks_have_one_canonical_form(name: str) -> None:
    space = SMALL[name]
    rng = random.Random(2)
    several = 0
    for _ in range(500):
        one, other = space.sample(rng), space.sample(rng)
        for architecture in (one, other):
            canonical = space.canonical(architecture)
            assert space.arch_def(canonical) == space.arch_def(architecture)
            several += canonical != architecture
        same = space.arch_def(one) == space.arch_def(other)
        assert same == (space.canonical(one) == space.canonical(other))
    assert several > 50


def test_choices_beyond_the_depth_do_not_count() -> None:
    space = small_ofa()
    choices = space.choices(space.sample(random.Random(0))) | {"unit1_depth": 1}
    one = space.architecture(choices | {"unit1_block2_kernel": 3})
    other = space.architecture(choices | {"unit1_block2_kernel": 7})
    assert one != other
    assert space.canonical(one) == space.canonical(other)
    assert space.arch_def(one) == space.arch_def(other)
    assert "# " in space.genotype(other)


def test_it_does_not_matter_where_a_block_is_skipped() -> None:
    space = small_proxyless()
    names = [decision.name for decision in space.decisions]
    tail = ["k3e2", "k3e2", "k3e2"]
    early = space.architecture(dict(zip(names, ["k5e2", "skip", "k3e3", *tail], strict=True)))
    late = space.architecture(dict(zip(names, ["k5e2", "k3e3", "skip", *tail], strict=True)))
    assert space.canonical(early) == late
    assert space.genotype(late) in space.genotype(early)


GOOD = small_ofa().genotype(small_ofa().canonical(small_ofa().sample(random.Random(0))))
MALFORMED = {
    "empty": "",
    "words": "a good network",
    "no list": "[1, 2]",
    "flat list": '["ir_r1"]',
    "open list": "[[",
    "deep list": "[" * 100_000,
    "a stage too few": " | ".join(GOOD.split(" | ")[:-1]),
    "a stage too many": f"{GOOD} | {GOOD.split(' | ')[-1]}",
    "another stem": GOOD.replace("ds_r1_k3", "ds_r1_k5", 1),
    "another head": GOOD.replace("cn_r1_k1", "cn_r1_k3"),
    "empty unit": " | ".join([GOOD.split(" | ")[0], "", *GOOD.split(" | ")[2:]]),
    "unknown kernel": GOOD.replace("ir_r1_k", "ir_r1_k1", 1),
    "even kernel": GOOD.replace("ir_r1_k3", "ir_r1_k4").replace("ir_r1_k5", "ir_r1_k4"),
    "repeated": GOOD.replace("ir_r1", "ir_r2", 1),
    "other width": GOOD.replace("_c16_", "_c24_"),
    "unknown decision": f"{GOOD} # unit9_depth=2",
    "unknown option": f"{GOOD} # unit1_depth=9",
    "no value": f"{GOOD} # unit1_depth",
    "another network": f"{GOOD} # unit1_depth=1 unit2_depth=1 unit1_block1_kernel=3",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_text_is_refused_in_one_line(text: str) -> None:
    space = small_ofa()
    with pytest.raises(ArchitectureError) as caught:
        space.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


# --- features


def test_features_count_what_the_network_has() -> None:
    space = small_ofa()
    blocks = [[Block(5, 3)], [Block(3, 2), Block(7, 4)]]
    architecture = space.of_blocks(blocks)
    values = {name: space.feature(name, architecture) for name in space.features()}
    assert values.pop("mflops") > 0
    assert values == {"blocks": 3, "skips": 1, "kernels": 15, "expansions": 9}


def test_a_feature_of_cost_needs_an_image_size() -> None:
    assert "mflops" not in FULL["ofa"].features()
    space = ofa_mbv3(image_size=224)
    smallest = space.of_blocks([[Block(3, 3), Block(3, 3)]] * 5)
    assert space.feature("mflops", smallest) == pytest.approx((121_278_672 - 1_280_000) / 1e6)


# --- variants


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"units": [0]}, "units"),
        ({"units": [2, 1]}, "units"),
        ({"units": [6]}, "units"),
        ({"strides": [1, 1]}, "strides"),
        ({"strides": [1, 1, 3, 1, 1]}, "strides"),
        ({"stem_stride": 3}, "stem_stride"),
        ({"head": 0}, "head"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(settings: dict, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        lab_variant(ofa_skeleton(1.0), **settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"depths": ()}, "depths"),
        ({"depths": (3, 2)}, "depths"),
        ({"depths": (0, 1)}, "depths"),
        ({"depths": (5,)}, "depths"),
        ({"kernels": (3, 4)}, "odd"),
        ({"kernels": ()}, "kernels"),
        ({"expansions": (6, 3)}, "expansions"),
        ({"expansions": (0,)}, "expansions"),
    ],
)
def test_options_that_cannot_be_are_refused(settings: dict, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        ofa_mbv3(**settings)


def test_an_architecture_of_another_space_is_outside() -> None:
    a = FULL["ofa"].sample(random.Random(0))
    assert not FULL["proxyless"].contains(Architecture("proxyless", a.choices))
