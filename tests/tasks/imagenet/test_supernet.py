from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from fewshot_core.data import ImageShape
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.testing.supernets import MakeSupernet, SupernetSuite
from fewshot_tasks.imagenet.skeleton import Block
from fewshot_tasks.imagenet.supernet import MobileSupernet
from tests.tasks.imagenet.spaces import FULL, small_fbnet, small_macro, small_ofa, small_proxyless

SHAPE = ImageShape(3, 8, 5)


def make(region: Region, **settings: object) -> MobileSupernet:
    return MobileSupernet(region, SHAPE, **settings)  # type: ignore[arg-type]


class TestOperations(SupernetSuite):
    samples = 6

    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_proxyless()

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return make


class TestOneOperation(TestOperations):
    """Slots without a choice, and one that is always skipped."""

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        region = Region.root(space).restrict("unit1_block1", ("k5e3",))
        region = region.restrict("unit2_block3", ("skip",))
        return region.restrict("unit1_block2", ("k3e2", "k5e2"))


class TestMacro(TestOperations):
    """A plain convolution where a unit begins."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_macro()


class TestFbnet(TestOperations):
    """Blocks without expansion, groups of channels, and a unit that may be empty."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_fbnet()


class TestFbnetWithoutItsFirstUnit(TestFbnet):
    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        region = Region.root(space).restrict("unit1_block1", ("skip",))
        return region.restrict("unit2_block1", ("k3e1g2", "k5e3"))


class TestCentreCrops(SupernetSuite):
    """Kernels without learned transforms: every tensor of a network is a part of the supernet's."""

    samples = 6

    @pytest.fixture
    def space(self) -> SearchSpace:
        return small_ofa()

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return lambda region: make(region, learned_kernels=False)


class TestElastic(TestCentreCrops):
    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return make

    def list_trained_alike(self, region: Region) -> list[Architecture]:
        """A step moves a transformed kernel in two ways: by its own gradient and its matrix's."""
        largest = [
            ("kernel" not in decision.name, options)
            for decision, options in zip(region.space.decisions, region.allowed, strict=True)
        ]
        return [
            Architecture(
                region.space.name,
                tuple(
                    choice if other else options[-1]
                    for choice, (other, options) in zip(a.choices, largest, strict=True)
                ),
            )
            for a in self.architectures(region)
        ]


class TestElasticWithoutDepth(TestElastic):
    """Every slot of the region exists; one kernel cannot be largest, one only largest.

    Where no network has the largest kernel, the child begins with the smaller one it became.
    """

    absorbed = frozenset(
        {
            "units.0.0.kernels.transform_7to5",
            "units.1.0.kernels.transform_7to5",
            "units.1.0.kernels.transform_5to3",
        }
    )

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        region = Region.root(space).restrict("unit1_depth", (2,))
        region = region.restrict("unit1_block1_kernel", (3, 5))
        region = region.restrict("unit1_block2_kernel", (7,))
        region = region.restrict("unit2_block1_kernel", (3,))
        region = region.restrict("unit2_block1_expansion", (2, 3))
        return region.restrict("unit1_block1_expansion", (3,))


class TestElasticWithAGap(TestElastic):
    """From 7 to 3 leads the way over 5, though no network of the region has a 5."""

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        return Region.root(space).restrict("unit1_block1_kernel", (3, 7))


class TestDropout(TestCentreCrops):
    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return lambda region: make(region, learned_kernels=False, drop_rate=0.2)


# --- what is shared, and how


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_small_kernel_is_the_transformed_centre_of_the_large_one() -> None:
    space = small_ofa()
    net = make(Region.root(space))
    block = net.units[0][0]
    with torch.no_grad():
        block.kernels.transform_7to5.copy_(torch.randn(25, 25))
        block.kernels.transform_5to3.copy_(torch.randn(9, 9))
    large = block.conv_dw.weight
    five = (large[:, :, 1:6, 1:6].reshape(-1, 25) @ block.kernels.transform_7to5.T).view(
        -1, 1, 5, 5
    )
    three = (five[:, :, 1:4, 1:4].reshape(-1, 9) @ block.kernels.transform_5to3.T).view(-1, 1, 3, 3)
    for size, expected in ((7, large), (5, five), (3, three)):
        units = [[Block(size, 4)], [Block(3, 2)]]
        taken = net.extract(space.of_blocks(units)).state_dict()["blocks.1.0.conv_dw.weight"]
        assert torch.allclose(taken, expected, atol=1e-5)


def test_transforms_begin_as_the_identity() -> None:
    space = small_ofa()
    net = make(Region.root(space))
    large = net.units[0][0].conv_dw.weight
    taken = net.extract(space.of_blocks([[Block(3, 4)], [Block(3, 2)]])).state_dict()
    assert torch.equal(taken["blocks.1.0.conv_dw.weight"], large[:, :, 2:5, 2:5])


def test_a_transform_learns(images: Tensor) -> None:
    space = small_ofa()
    net = make(Region.root(space))
    net(images, space.of_blocks([[Block(3, 4)], [Block(3, 2)]])).square().sum().backward()
    for name in ("transform_7to5", "transform_5to3"):
        gradient = getattr(net.units[0][0].kernels, name).grad
        assert gradient is not None
        assert float(gradient.abs().sum()) > 0
    net.zero_grad()
    net(images, space.of_blocks([[Block(7, 4)], [Block(3, 2)]])).square().sum().backward()
    assert net.units[0][0].kernels.transform_7to5.grad is None


def test_operations_do_not_share_weights(images: Tensor) -> None:
    space = small_proxyless()
    net = make(Region.root(space))
    net(images, space.of_blocks([[Block(3, 2)], [Block(3, 2)]])).sum().backward()
    reached = {name for name, p in net.named_parameters() if p.grad is not None}
    assert not [name for name in reached if "k5" in name or "e3" in name]


def test_statistics_of_channels_that_are_not_used_stay(images: Tensor) -> None:
    space = small_ofa()
    net = make(Region.root(space)).train()
    norm = net.units[0][0].bn1
    before = norm.running_mean.clone()
    net(images, space.of_blocks([[Block(3, 2)], [Block(3, 2)]]))
    moved = norm.running_mean != before
    assert moved[:16].all()
    assert not moved[16:].any()


@pytest.mark.parametrize("name", FULL)
def test_at_full_size_extraction_is_bit_equal(name: str) -> None:
    space = FULL[name]
    torch.manual_seed(0)
    net = MobileSupernet(Region.root(space), ImageShape(3, 64, 1000)).eval()
    images = torch.randn(2, 3, 64, 64)
    rng = random.Random(0)
    for _ in range(2):
        architecture = space.sample(rng)
        with torch.no_grad():
            logits = net(images, architecture)
            assert torch.equal(net.extract(architecture)(images), logits)


def test_fresh_weights_follow_torch_seed() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in make(Region.root(small_ofa())).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
