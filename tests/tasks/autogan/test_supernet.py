from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from fewshot_core.runs.checkpoint import StageState
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import SearchSpace
from fewshot_core.supernet import recalibrate_norms
from fewshot_core.testing.supernets import MakeSupernet, SupernetSuite
from fewshot_tasks.autogan.adversaries import (
    CRITIC,
    GENERATOR,
    AdversarialSupernet,
    SharedGenerator,
)
from fewshot_tasks.autogan.pictures import SupernetWatch
from fewshot_tasks.autogan.space import generator_space

TWO, THREE = generator_space(2), generator_space()
SHAPE = {"channels": 3, "latent": 5, "image_size": 8, "image_channels": 3}


def make(region: Region) -> SharedGenerator:
    return SharedGenerator(region, **SHAPE)


def pair(region: Region) -> AdversarialSupernet:
    return AdversarialSupernet(
        region, generator=SHAPE, discriminator={"channels": 4, "cells": 2, "image_channels": 3}
    )


class TestSharedGenerator(SupernetSuite):
    # Instance norm divides by the deviation over few pixels.
    training_tolerance = 1e-5

    @pytest.fixture
    def space(self) -> SearchSpace:
        return TWO

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return make

    @pytest.fixture
    def inputs(self) -> Tensor:
        return torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


class TestSplitByUpsampling(TestSharedGenerator):
    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        return Region.root(space).restrict("cell2_upsample", ("deconv",))


class TestSplitBySeveral(TestSharedGenerator):
    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        region = Region.root(space).restrict("cell1_norm", ("instance",))
        region = region.restrict("cell2_shortcut", ("none",))
        return region.restrict("cell2_skips", ("none",))


class TestBandOfGenerators(TestSharedGenerator):
    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        return Region.root(space).band("deconvs", 0, 1)


class TestThreeCells(TestSharedGenerator):
    samples = 6

    @pytest.fixture
    def space(self) -> SearchSpace:
        return THREE

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return lambda region: SharedGenerator(region, **SHAPE | {"image_size": 16})


class TestPair(TestSharedGenerator):
    """Generator and discriminator together, in all that concerns the generator."""

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return pair

    def list_used_parameters(
        self, supernet: AdversarialSupernet, region: Region, inputs: Tensor
    ) -> set[str]:
        critic = {f"discriminator.{name}" for name, _ in supernet.discriminator.named_parameters()}
        return super().list_used_parameters(supernet, region, inputs) | critic


def test_extraction_at_full_width_is_bit_equal() -> None:
    torch.manual_seed(0)
    supernet = SharedGenerator(Region.root(THREE), channels=16).eval()
    z = torch.randn(2, 128)
    for architecture in (THREE.sample(random.Random(seed)) for seed in range(4)):
        with torch.no_grad():
            assert torch.equal(supernet(z, architecture), supernet.extract(architecture)(z))


def test_a_child_goes_on_with_the_parents_discriminator() -> None:
    torch.manual_seed(0)
    parent = pair(Region.root(TWO)).train()
    images = torch.randn(4, 3, 8, 8)
    for _ in range(3):  # so that the vectors of the power iteration are not fresh
        parent.discriminator(images)
    child = pair(Region.root(TWO).restrict("cell1_norm", ("batch",)))
    assert child.inherit_from(parent).fresh == ()
    parent.eval(), child.eval()
    with torch.no_grad():
        assert torch.equal(child.discriminator(images), parent.discriminator(images))
        for parameter in child.discriminator.parameters():
            parameter.add_(1)
        assert not torch.equal(child.discriminator(images), parent.discriminator(images))


def test_losses_reach_only_their_side() -> None:
    torch.manual_seed(0)
    supernet = pair(Region.root(TWO)).train()
    architecture = TWO.sample(random.Random(1))
    z, real = torch.randn(4, 5), torch.rand(4, 3, 8, 8)
    supernet(z, architecture, role=CRITIC, real=real).backward()
    assert all(p.grad is None for p in supernet.generator.parameters())
    supernet.zero_grad(set_to_none=True)
    supernet(z, architecture, role=GENERATOR).backward()
    assert any(p.grad is not None for p in supernet.generator.parameters())


def test_beginning_anew_changes_all_weights_and_depends_on_the_seed_alone() -> None:
    supernets = [pair(Region.root(TWO)) for _ in range(2)]
    before = {n: t.clone() for n, t in supernets[0].state_dict().items()}
    for supernet in supernets:
        supernet.begin_anew(7)
    for name, tensor in supernets[0].state_dict().items():
        assert torch.equal(tensor, supernets[1].state_dict()[name])
    name = "generator.body.stem.weight"
    assert not torch.equal(before[name], supernets[0].state_dict()[name])


def test_statistics_of_a_candidate_are_its_own() -> None:
    """The running ones are of all candidates; scoring measures them again and puts them back."""
    torch.manual_seed(0)
    supernet = make(Region.root(TWO)).train()
    with torch.no_grad():
        for norm in (m for m in supernet.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.running_mean.add_(5)
    architecture = TWO.parse("1,1,1,1,1,1,1,1,1")
    z = torch.randn(64, 5)
    before = {n: t.clone() for n, t in supernet.state_dict().items()}
    supernet.train()
    with torch.no_grad():
        own = supernet.extract(architecture).train()(z)
        with recalibrate_norms(supernet, [z], lambda part: supernet(part, architecture)):
            scored = supernet(z, architecture)
        # The cumulative variance is the unbiased one, so that the two agree up to 1/n.
        torch.testing.assert_close(scored, own, rtol=0.02, atol=0.02)
        assert (supernet(z, architecture) - own).abs().max() > 0.1
    for name, tensor in supernet.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("broken", [False, True])
def test_watching_draws_a_row_for_each_generator_and_changes_nothing(
    tmp_path: Path, broken: bool
) -> None:
    torch.manual_seed(0)
    supernet = pair(Region.root(TWO)).train()
    if broken:
        with torch.no_grad():
            next(supernet.generator.parameters()).fill_(torch.nan)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    chosen = [TWO.sample(random.Random(seed)) for seed in range(3)]
    noise = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    watch = SupernetWatch(chosen, noise, [torch.randn(16, 5)], torch.device("cpu"))
    watch(StageState(step=7), supernet, tmp_path)
    for name, tensor in supernet.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)
    path = tmp_path / "samples" / "step-00000007.png"
    assert path.exists() is not broken  # the training loop ends a broken one, with the step
    if not broken:
        with Image.open(path) as image:
            side = 16 * (8 + 1)  # of an image with its margin, enlarged
            assert image.size == (4 * side + 16, 3 * side + 16)
