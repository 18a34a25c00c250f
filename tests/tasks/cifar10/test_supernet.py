from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from fewshot_core.errors import RecipeError, RegionError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import SearchSpace
from fewshot_core.testing.supernets import MakeSupernet, SupernetSuite
from fewshot_tasks.cifar10.network import run_cell
from fewshot_tasks.cifar10.space import nasbench201
from fewshot_tasks.cifar10.supernet import CellSupernet

SPACE = nasbench201()
ONLY_ZEROS = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"


def make(region: Region, affine: bool = False) -> CellSupernet:
    shape = {"channels": 4, "cells_per_stage": 1, "num_classes": 3, "in_chans": 3}
    return CellSupernet(region, affine=affine, **shape)


class TestCellSupernet(SupernetSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACE

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return make


class TestAffineCellSupernet(TestCellSupernet):
    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return lambda region: make(region, affine=True)


class TestBandOfCells(TestCellSupernet):
    """Every edge keeps its operations here, but not every combination."""

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        return Region.root(space).band("nonlinear", 1, 3)


class TestNarrowRegion(TestCellSupernet):
    """Two decisions cut: one to a pooling alone, one without its convolutions."""

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        first = Region.root(space).restrict("edge_3_0", ("avg_pool_3x3",))
        return first.restrict("edge_2_1", ("none", "skip_connect"))


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_cell_without_a_path_runs_no_operation(images: Tensor) -> None:
    supernet = make(Region.root(SPACE)).eval()
    architecture = SPACE.parse(ONLY_ZEROS)
    called = []
    for name, module in supernet.named_modules():
        if ".edges." in name:
            module.register_forward_hook(lambda *_, name=name: called.append(name))
    output = supernet(images, architecture)
    assert called == []
    assert torch.equal(output[0], output[1])  # the head sees zeros, whatever the image


def test_a_region_keeps_no_operation_that_its_bands_exclude() -> None:
    supernet = make(Region.root(SPACE).band("nonlinear", 0, 1))
    assert not [name for name in supernet.state_dict() if "nor_conv" in name]


def test_an_operation_has_one_name_in_every_region() -> None:
    name = "net.stages.0.0.edges.edge_3_2.nor_conv_3x3.1.weight"
    root = Region.root(SPACE)
    for region in (root, root.restrict("edge_1_0", ("none",)), root.band("skips", 0, 2)):
        assert name in make(region).state_dict()


def test_a_mixture_of_one_option_each_is_that_architecture() -> None:
    root = Region.root(nasbench201())
    net = make(root)
    rng, images = random.Random(3), torch.randn(2, 3, 8, 8)
    compared = 0
    while compared < 10:
        architecture = root.sample(rng)
        if root.space.connected(architecture) != architecture:
            continue  # what leads nowhere would still move the statistics of batch norm
        compared += 1
        weights = {
            decision.name: torch.tensor([float(option == choice) for option in decision.options])
            for decision, choice in zip(root.space.decisions, architecture.choices, strict=True)
        }
        assert torch.allclose(
            net.forward_mixed(images, weights), net(images, architecture), atol=1e-5
        )


def test_partial_channels_go_past_the_operations() -> None:
    """With skips alone nothing is changed but the order of the channels."""
    root = Region.root(nasbench201())
    net = CellSupernet(root, channels=8, cells_per_stage=1, num_classes=3, in_chans=3, partial=4)
    skip = root.space.parse("|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    x = torch.randn(2, 8, 4, 4)
    cell = net.net.stages[0][0]  # type: ignore[index]
    out = cell(x, net.plan(skip).edges)
    assert torch.allclose(out.sum(1), x.sum(1), atol=1e-5)
    assert not torch.equal(out, x)
    with pytest.raises(RegionError, match="partial channels"):
        net.extract(skip)


@pytest.mark.parametrize("partial", [1, 4])
def test_a_mixture_is_the_weighted_sum_of_operations(partial: int) -> None:
    """Node by node, as Xu et al. write it (equations 2 and 3): edges weigh what goes past, too."""
    root = Region.root(nasbench201())
    net = CellSupernet(
        root, channels=8, cells_per_stage=1, num_classes=3, in_chans=3, partial=partial
    ).eval()
    cell = net.net.stages[0][0]  # type: ignore[index]
    x = torch.randn(2, 8, 5, 5)
    generator = torch.Generator().manual_seed(1)
    alphas = {e: torch.rand(5, generator=generator).softmax(0) for e in root.space.edges}  # type: ignore[attr-defined]
    betas = {(1, 0): 1.0, (2, 0): 0.3, (2, 1): 0.7, (3, 0): 0.2, (3, 1): 0.3, (3, 2): 0.5}

    def edge(place: tuple[int, int], value: Tensor) -> Tensor:
        part = value[:, : 8 // partial]
        options = root.options(f"edge_{place[0]}_{place[1]}")
        mixed = torch.zeros_like(part)
        for weight, option in zip(alphas[place], options, strict=True):
            if option != "none":
                mixed = mixed + weight * cell.edges[f"edge_{place[0]}_{place[1]}"][option](part)
        whole = torch.cat([mixed, value[:, 8 // partial :]], 1)
        shuffled = whole.view(2, partial, 8 // partial, 5, 5).transpose(1, 2).reshape(2, 8, 5, 5)
        return betas[place] * shuffled

    nodes = [x]
    for target in (1, 2, 3):
        nodes.append(sum(edge((target, source), nodes[source]) for source in range(target)))  # type: ignore[arg-type]

    weights = {f"edge_{t}_{s}": betas[t, s] * alphas[t, s] for t, s in alphas}
    plan = {}
    original = cell.mixed
    cell.mixed = lambda value, given: plan.update(given) or original(value, given)
    net.forward_mixed(torch.randn(2, 3, 5, 5), weights)
    assert torch.allclose(original(x, plan), nodes[-1], atol=1e-5)


def test_channels_that_cannot_be_divided_are_refused() -> None:
    root = Region.root(nasbench201())
    with pytest.raises(RecipeError, match=r"strategy\.partial|preferences\.partial"):
        CellSupernet(root, channels=6, cells_per_stage=1, num_classes=3, in_chans=3, partial=4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("autocast", [True, False])
def test_a_cell_is_computed_as_edge_by_edge(training: bool, autocast: bool) -> None:
    """Shared ReLUs and sums in place change no bit of the output, nor the caller's input."""
    root = Region.root(nasbench201())
    net = make(root).train(training)
    cell, rng = net.net.stages[0][0], random.Random(0)  # type: ignore[index]
    for _ in range(60):
        plan = net.plan(root.sample(rng)).edges
        mine = torch.randn(2, net.shape["channels"], 6, 6).requires_grad_()
        theirs, before = mine.detach().clone().requires_grad_(), mine.detach().clone()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            output, expected = cell(mine, plan), run_cell(theirs, plan, cell._operate)
        assert torch.equal(output, expected)
        assert output.dtype == expected.dtype
        assert torch.equal(mine, before)
        if plan:
            output.sin().sum().backward()
            expected.sin().sum().backward()
            tolerance = 5e-2 if autocast else 1e-5
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=tolerance, atol=tolerance)
