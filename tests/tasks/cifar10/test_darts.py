"""The DARTS space: text, published counts, networks, supernets and mixtures."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.errors import ArchitectureError, RecipeError, RegionError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.task import Task
from fewshot_core.testing.spaces import Cost, SpaceSuite
from fewshot_core.testing.supernets import MakeSupernet, SupernetSuite
from fewshot_core.testing.tasks import TaskSuite
from fewshot_tasks.cifar10.darts import KINDS, OPERATIONS, darts, edge_name
from fewshot_tasks.cifar10.darts_network import (
    DartsNetwork,
    FixedDartsCell,
    make_darts_operation,
    parse_cells,
)
from fewshot_tasks.cifar10.darts_supernet import DartsSupernet
from fewshot_tasks.cifar10.task import TASK

SPACE = darts()
SECOND_ORDER = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
"""The cells that were found with the second order, as the authors published them."""


class TestDarts(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACE

    @pytest.fixture
    def cost(self) -> Cost:
        return lambda architecture: sorted(SPACE.parts(architecture))


# --- text and counts


def test_the_published_network_has_its_parameters() -> None:
    """3.3 million in the paper, 3.349342 by the authors' program, without the auxiliary head."""
    network = DartsNetwork(SPACE.cells(SPACE.parse(SECOND_ORDER)), auxiliary=True)
    counts = {name: p.numel() for name, p in network.named_parameters()}
    assert sum(n for name, n in counts.items() if "auxiliary" not in name) == 3_349_342
    assert sum(counts.values()) > 3_349_342
    assert sum(map(len, network.stages)) + len(network.reductions) == 20  # type: ignore[arg-type]


def test_the_numbers_of_architectures_and_networks() -> None:
    assert SPACE.size() == 7**28 * 180**2
    assert len({edge for edge in (d.name for d in SPACE.decisions) if "edge" in edge}) == 28


def test_published_text_is_read_and_written() -> None:
    architecture = SPACE.parse(SECOND_ORDER)
    text = SPACE.genotype(architecture)
    assert SPACE.parse(text) == architecture
    assert text.startswith("Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ")
    assert "normal_concat=range(2, 6)" in text
    assert "#" not in text
    # The order of a node's two edges, and spaces, do not matter.
    other = SECOND_ORDER.replace(
        "('sep_conv_3x3', 1), ('skip_connect', 0)", "('skip_connect',0),('sep_conv_3x3',1)"
    )
    assert other != SECOND_ORDER
    assert SPACE.parse(other) == architecture


def test_numbered_cells_are_read(shared_data: Path) -> None:
    with (shared_data / "nasbench301" / "surrogate_sample.csv").open() as file:
        rows = [row["arch"] for row in csv.DictReader(file)]
    assert len(rows) == 500
    assert len({SPACE.parse(text) for text in rows}) == 500
    normal = SPACE.cells(SPACE.parse(rows[0]))["normal"]
    assert rows[0].startswith("[[(0, 4), (1, 3), (0, 2), (2, 3)")
    assert normal[0] == (("sep_conv_5x5", 0), ("sep_conv_3x3", 1))
    assert normal[1] == (("skip_connect", 0), ("sep_conv_3x3", 2))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype()",
        SECOND_ORDER.replace("normal=", "usual="),
        SECOND_ORDER.replace("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[3, 4, 5]"),
        SECOND_ORDER.replace("('sep_conv_3x3', 0), ", "", 1),
        SECOND_ORDER + "; import os",
        SECOND_ORDER.replace("('skip_connect', 0)", "(open('x'), 0)", 1),
        "[[(0, 4)], [(1, 3)]]",
        str([[(0, 9)] * 8] * 2),
    ],
)
def test_other_text_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ArchitectureError, match="not a genotype of space 'darts'") as caught:
        SPACE.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("'sep_conv_3x3', 0", "'sep_conv_4x4', 0", "unknown operation 'sep_conv_4x4'"),
        ("('sep_conv_3x3', 0), ('sep", "('sep_conv_3x3', 2), ('sep", "cannot read"),
        ("('sep_conv_3x3', 0), ('sep", "('sep_conv_3x3', 1), ('sep", "cannot read"),
    ],
)
def test_cells_that_cannot_be_are_refused(old: str, new: str, problem: str) -> None:
    with pytest.raises(ArchitectureError, match=problem):
        SPACE.parse(SECOND_ORDER.replace(old, new, 1))


# --- supernets


def make(region: Region, affine: bool = False, partial: int = 1) -> DartsSupernet:
    shape = {"channels": 4, "cells_per_stage": 1, "num_classes": 3, "in_chans": 3}
    return DartsSupernet(region, affine=affine, partial=partial, **shape)


class TestSupernet(SupernetSuite):
    samples = 5

    def covering(self, region: Region) -> list[Architecture]:
        """Every operation on every edge: random ones would seldom have an edge read."""
        found = []
        for pair in range(10):
            for operation in range(len(OPERATIONS)):
                places = (pair if "inputs" in d.name else operation for d in region.space.decisions)
                choices = (
                    options[place % len(options)]
                    for options, place in zip(region.allowed, places, strict=True)
                )
                found.append(Architecture(region.space.name, tuple(choices)))
        return found

    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACE

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return make


class TestSupernetOfOneOperation(TestSupernet):
    """One of seven regions of an edge, and a node whose inputs are decided."""

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        region = Region.root(space).restrict("normal_edge_2_0", ("sep_conv_5x5",))
        return region.restrict("reduce_node4_inputs", ("1+3",))


def test_a_region_holds_no_edge_that_nothing_reads() -> None:
    region = Region.root(SPACE).restrict("reduce_node5_inputs", ("1+3", "3+4"))
    names = make(region).state_dict()
    assert not [n for n in names if "reductions." in n and (".5_0." in n or ".5_2." in n)]
    assert [n for n in names if "reductions." in n and ".5_4." in n]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("partial", [1, 4])
def test_a_mixture_of_one_architecture_is_that_architecture(images: Tensor, partial: int) -> None:
    supernet = make(Region.root(SPACE), partial=partial).eval()
    for seed in range(3):
        architecture = SPACE.sample(random.Random(seed))
        weights = {
            decision.name: torch.tensor([float(option == choice) for option in decision.options])
            for decision, choice in zip(SPACE.decisions, architecture.choices, strict=True)
        }
        mixed = supernet.forward_mixed(images, weights)
        torch.testing.assert_close(mixed, supernet(images, architecture))


def test_every_decision_gets_a_gradient_from_a_mixture(images: Tensor) -> None:
    supernet = make(Region.root(SPACE))
    logits = {d.name: torch.zeros(len(d.options), requires_grad=True) for d in SPACE.decisions}
    weights = {name: torch.softmax(values, 0) for name, values in logits.items()}
    supernet.forward_mixed(images, weights).square().sum().backward()
    assert all(values.grad is not None and values.grad.any() for values in logits.values())


EDGES = ", ".join(["('skip_connect', 0)", "('skip_connect', 1)"] * 4)
SKIPS = SPACE.parse(
    f"Genotype(normal=[{EDGES}], normal_concat=[2, 3, 4, 5], "
    f"reduce=[{EDGES}], reduce_concat=[2, 3, 4, 5])"
)


def test_partial_channels_go_past_the_operations() -> None:
    """Skips alone change nothing but the order of the channels; where a cell halves, what goes past
    does so as well."""
    supernet = make(Region.root(SPACE), partial=2).eval()
    cells = supernet.plan(SKIPS)
    normal, reduction = supernet.net.stages[0][0], supernet.net.reductions[0]  # type: ignore[index]
    width = supernet.net.stem[0].out_channels  # type: ignore[union-attr]
    x = torch.randn(2, width, 5, 5)
    first, second = normal.inputs((x, x))
    node = normal((x, x), cells)[1][:, :4]
    torch.testing.assert_close(node.sum(1), (first + second).sum(1))
    assert not torch.equal(node, first + second)
    states = normal((x, x), cells)
    assert reduction(states, cells)[1].shape[-2:] == (3, 3)
    with pytest.raises(RegionError, match="partial channels"):
        supernet.extract(SKIPS)
    with pytest.raises(RecipeError, match="4 channels cannot be divided"):
        make(Region.root(SPACE), partial=3)


def test_a_search_normalises_what_it_pools_and_a_network_does_not() -> None:
    """As in DARTS."""
    for name in ("max_pool_3x3", "avg_pool_3x3"):
        searched, final = (make_darts_operation(name, 4, 1, affine) for affine in (False, True))
        assert [type(module) for module in searched][1] is nn.BatchNorm2d  # type: ignore[attr-defined]
        assert not [*searched.parameters(), *final.buffers()]
        x = 5 + 3 * torch.randn(64, 4, 8, 8)
        assert searched(x).std() == pytest.approx(1, abs=0.01)
        torch.testing.assert_close(searched[1](final(x)), searched(x))  # type: ignore[index]


# --- networks


def recipe(*words: str) -> Recipe:
    usual = ["recipe=digits", "network.space=darts", "split=none", "network.supernet_affine=true"]
    usual += ["network.channels=4", "network.cells_per_stage=1"]
    return load_recipe([*usual, *words], drop_unread=True).recipe


def test_the_table_is_what_fvcore_counts() -> None:
    shape, settings = ImageShape(3, 16, 10), recipe()
    table = TASK.costs(settings, shape)
    for seed in range(10):
        architecture = SPACE.sample(random.Random(seed))
        measured = measure(TASK.network(architecture, settings, shape), shape.input_size)
        figures = table.costs(architecture)
        assert {key: figures[key] for key in measured} == measured


class TestDartsCells(TaskSuite):
    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def recipe(self) -> Recipe:
        return recipe()


class TestDartsCellsWithAuxiliaryHead(TestDartsCells):
    @pytest.fixture
    def recipe(self) -> Recipe:
        return recipe("network.auxiliary=true", "network.drop_path_rate=0.2")

    def result(self, network: nn.Module) -> nn.Module:
        return TASK.result(network)


def test_an_auxiliary_head_is_there_in_training_and_gone_in_the_end(images: Tensor) -> None:
    settings, shape = recipe("network.auxiliary=true"), ImageShape(3, 16, 10)
    network = TASK.network(SPACE.sample(random.Random(0)), settings, shape)
    main, auxiliary = network.train()(images)
    targets = torch.tensor([0, 1, 2, 3])
    both = TASK.compare((main, auxiliary), targets, 0.0)
    expected = nn.functional.cross_entropy(main, targets)
    expected = expected + 0.4 * nn.functional.cross_entropy(auxiliary, targets)
    torch.testing.assert_close(both, expected)
    logits = network.eval()(images)
    assert torch.equal(TASK.result(network)(images), logits)
    assert not [name for name in network.state_dict() if "auxiliary" in name]
    again = TASK.network(SPACE.sample(random.Random(0)), settings, shape)
    head = {n: t.clone() for n, t in again.state_dict().items() if "auxiliary" in n}
    supernet = TASK.supernet(Region.root(SPACE), settings, shape)
    TASK.start_from_supernet(again, network, supernet)
    weights = again.state_dict()
    assert head
    assert all(torch.equal(weights[name], tensor) for name, tensor in head.items())
    assert all(torch.equal(weights[name], t) for name, t in network.state_dict().items())
    large = TASK.network(SPACE.sample(random.Random(0)), settings, ImageShape(3, 32, 10))
    assert large.train()(torch.randn(2, 3, 32, 32))[1].shape == (2, 10)


def test_a_pruned_network_gives_the_stages_that_are_left(images: Tensor) -> None:
    cells = SPACE.cells(SPACE.parse(SECOND_ORDER))
    network = DartsNetwork(cells, channels=4, cells_per_stage=1).eval()
    expected = network.forward_intermediates(images, [1], intermediates_only=True)
    network.prune_intermediate_layers([1], prune_norm=True)
    assert torch.equal(network.forward_features(images), expected[0])


def test_paths_are_dropped_more_and_more() -> None:
    network = DartsNetwork(
        SPACE.cells(SPACE.parse(SECOND_ORDER)), channels=4, cells_per_stage=1, drop_path_rate=0.4
    )
    cells = [module for module in network.modules() if isinstance(module, FixedDartsCell)]
    assert len(cells) == 5
    network.follow(0.5)
    assert {cell.drop_path.drop_prob for cell in cells} == {0.2}
    cell = cells[0].train()
    torch.manual_seed(0)
    x = torch.randn(4000, 4, 2, 2)
    dropped = cell._operate(2, "sep_conv_3x3", 0, x).flatten(1).abs().sum(1) == 0
    assert 0.15 < dropped.float().mean() < 0.25
    skipped = cell._operate(4, "skip_connect", 0, x)  # is not dropped
    assert torch.equal(skipped, x)
    assert not (cell.eval()._operate(2, "sep_conv_3x3", 0, x).flatten(1).abs().sum(1) == 0).any()


def test_the_exported_file_reads_what_the_space_writes() -> None:
    for seed in range(20):
        architecture = SPACE.sample(random.Random(seed))
        cells = parse_cells(SPACE.genotype(architecture))
        mine = SPACE.cells(architecture)
        assert {k: [tuple(pair) for pair in v] for k, v in cells.items()} == {
            k: list(v) for k, v in mine.items()
        }


def test_a_picture_shows_every_edge() -> None:
    for seed in range(5):
        architecture = SPACE.sample(random.Random(seed))
        picture = ElementTree.fromstring(TASK.draw(SPACE, architecture))
        texts = [e.text for e in picture.iter() if e.tag.endswith("text")]
        named = [text for text in texts if text and text.replace(" ", "_") in OPERATIONS]
        assert sorted(text.replace(" ", "_") for text in named) == sorted(
            operation for _, operation in SPACE.parts(architecture)
        )


def test_seven_regions_of_one_edge() -> None:
    for kind in KINDS:
        assert SPACE.decisions[SPACE.position(edge_name(kind, 2, 0))].options == OPERATIONS
