"""NAS-Bench-1Shot1: its spaces, NAS-Bench-101's text and hash, networks and supernets."""

from __future__ import annotations

import csv
import json
import os
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor

from fewshot_core.costs.table import measure
from fewshot_core.data import ImageShape
from fewshot_core.errors import ArchitectureError, DataError
from fewshot_core.evaluators.table import TabularEvaluator
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.task import Task
from fewshot_core.testing.spaces import Cost, SpaceSuite
from fewshot_core.testing.supernets import MakeSupernet, SupernetSuite
from fewshot_core.testing.tasks import TaskSuite
from fewshot_core.trust.scores import write_table
from fewshot_core.trust.values import read_values
from fewshot_tasks.cifar10.graph import PARENTS, GraphCell, GraphSpace, nasbench1shot1
from fewshot_tasks.cifar10.graph_supernet import GraphSupernet
from fewshot_tasks.cifar10.task import TASK

SPACES = {name: nasbench1shot1(name) for name in PARENTS}
FIRST, SECOND, THIRD = SPACES.values()


class TestFirst(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return FIRST

    @pytest.fixture
    def cost(self, space: GraphSpace) -> Cost:
        return lambda a: (sorted(space.cell(a).pruned().operations), space.hash(a))


class TestSecond(TestFirst):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SECOND


class TestThird(TestFirst):
    samples = 60

    @pytest.fixture
    def space(self) -> SearchSpace:
        return THIRD


# --- published figures


def test_the_published_numbers_of_cells_and_of_networks() -> None:
    assert [space.size() for space in SPACES.values()] == [14_580, 29_160, 1_312_200]
    assert len(FIRST.hashes()) == 2_685
    assert len(SECOND.hashes()) == 7_773


@pytest.mark.skipif(
    not os.environ.get("FEWSHOT_SLOW"), reason="takes two minutes; FEWSHOT_SLOW=1 runs it"
)
def test_the_published_number_of_networks_of_the_third_space() -> None:
    assert len(THIRD.hashes()) == 55_854


def test_published_hashes(shared_data: Path) -> None:
    """Some of the spaces' networks are among the published ones: 195 and 572 of those of a file."""
    with (shared_data / "nasbench101" / "accuracies.csv").open() as file:
        published = {row["hash"] for row in csv.DictReader(file)}
    assert len(published) == 30_001
    assert sum(key in published for key in FIRST.hashes()) == 195
    assert sum(key in published for key in SECOND.hashes()) == 572
    drawn = {THIRD.hash(THIRD.sample(random.Random(seed))) for seed in range(3000)}
    assert 0.05 < sum(key in published for key in drawn) / len(drawn) < 0.1


def test_a_hash_is_of_the_graph_and_not_of_its_numbers() -> None:
    conv, pool = "conv3x3-bn-relu", "maxpool3x3"
    one = GraphCell((conv, pool, conv), ((0,), (0,), (1,), (2, 3)))
    other = GraphCell((pool, conv, conv), ((0,), (0,), (2,), (1, 3)))
    assert one.hash() == other.hash()
    swapped = GraphCell((pool, conv, pool), ((0,), (0,), (1,), (2, 3)))
    assert one.hash() != swapped.hash()
    loose = GraphCell((conv, pool, conv, pool), ((0,), (0,), (1,), (0,), (2, 3)))
    assert loose.hash() == one.hash()
    assert loose.live() == (1, 2, 3)


@pytest.mark.parametrize("name", SPACES)
def test_equal_hashes_have_one_representative(name: str) -> None:
    space = SPACES[name]
    found: dict[str, Architecture] = {}
    for seed in range(600):
        architecture = space.sample(random.Random(seed))
        canonical = space.canonical(architecture)
        assert found.setdefault(space.hash(architecture), canonical) == canonical
        assert space.hash(canonical) == space.hash(architecture)
    assert len(set(found.values())) == len(found)


# --- text


@pytest.mark.parametrize("name", SPACES)
def test_matrices_are_read_back(name: str) -> None:
    space = SPACES[name]
    for seed in range(50):
        architecture = space.sample(random.Random(seed))
        matrix, operations = space.matrix(architecture)
        assert len(matrix) == len(operations) == 7
        assert sum(map(sum, matrix)) == sum(PARENTS[name]) <= 9
        assert space.of_matrix(matrix, operations) == architecture
        assert space.parse(space.genotype(architecture)) == architecture
        specification = {"module_adjacency": matrix, "module_operations": operations}
        assert space.parse(json.dumps(specification)) == architecture


def test_a_vertex_that_nothing_reaches_is_left_out() -> None:
    architecture = FIRST.sample(random.Random(3))
    matrix, operations = FIRST.matrix(architecture)
    assert matrix[5] == (0,) * 7
    shorter = [[row[v] for v in (0, 1, 2, 3, 4, 6)] for i, row in enumerate(matrix) if i != 5]
    assert FIRST.of_matrix(shorter, [*operations[:5], operations[6]]) == architecture


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a cell of space"),
        ("0110;input", "upper triangular"),
        ("01-00;input,output", "parents of the nodes"),
        ("01-10;input,output", "upper triangular"),
        ("01-00;output,input", "begins with the input"),
        ("{", "not a module specification"),
        ('{"module_adjacency": 1, "module_operations": []}', "not a module specification"),
    ],
)
def test_bad_text_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ArchitectureError, match=problem) as caught:
        FIRST.parse(text)
    assert "\n" not in str(caught.value)


def test_an_operation_that_does_not_exist_is_named() -> None:
    text = FIRST.genotype(FIRST.sample(random.Random(0))).replace("conv3x3", "conv5x5")
    text = text.replace("conv1x1", "conv5x5")
    with pytest.raises(ArchitectureError, match="conv5x5-bn-relu"):
        FIRST.parse(text)


# --- a truth by hash


def test_a_table_of_hashes_has_the_networks_of_the_space(tmp_path: Path) -> None:
    known = sorted(FIRST.hashes())[:20]
    rows = [{"hash": key, "value": number} for number, key in enumerate([*known, "0" * 32])]
    path = tmp_path / "table.csv"
    write_table(path, rows, ["hash", "value"])
    values, folded = read_values(FIRST, path, "value")
    assert folded
    assert values == {FIRST.hashes()[key]: number for number, key in enumerate(known)}
    with_text = [{"arch": FIRST.genotype(a), "hash": "?", "value": v} for a, v in values.items()]
    write_table(path.with_name("text.csv"), with_text, ["arch", "hash", "value"])
    assert read_values(FIRST, path.with_name("text.csv"), "value") == (values, False)
    evaluator = TabularEvaluator(FIRST, path, "value")
    for seed in range(3000):
        architecture = FIRST.sample(random.Random(seed))
        if (
            FIRST.canonical(architecture) in values
            and FIRST.canonical(architecture) != architecture
        ):
            break
    expected = values[FIRST.canonical(architecture)]
    assert evaluator.evaluate(architecture) == {"score": expected}
    write_table(path, [{"hash": "0" * 32, "value": 1}], ["hash", "value"])
    with pytest.raises(DataError, match="is a network of space 'nasbench1shot1_1'"):
        read_values(FIRST, path, "value")


# --- networks and supernets


def make(region: Region) -> GraphSupernet:
    return GraphSupernet(region, channels=4, cells_per_stage=2, num_classes=3, in_chans=3)


class TestSupernet(SupernetSuite):
    samples = 8

    @pytest.fixture
    def space(self) -> SearchSpace:
        return FIRST

    @pytest.fixture
    def make_supernet(self) -> MakeSupernet:
        return make


class TestSupernetOfTheSecond(TestSupernet):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SECOND


class TestSupernetOfThirds(TestSupernet):
    """Of the third space a region by an operation and by an input."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return THIRD

    @pytest.fixture
    def region(self, space: SearchSpace) -> Region:
        region = Region.root(space).restrict("output_inputs", ("0+5", "1+5", "4+5"))
        return region.restrict("node2_operation", ("maxpool3x3",))


def test_a_region_holds_no_projection_that_nothing_reads() -> None:
    region = Region.root(FIRST).restrict("output_inputs", ("1+2", "3+4"))
    names = make(region).state_dict()
    assert not [name for name in names if ".projections.5." in name]
    assert [name for name in make(Region.root(FIRST)).state_dict() if ".projections.5." in name]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def recipe(name: str, channels: int = 4, cells_per_stage: int = 1) -> Recipe:
    words = ["recipe=digits", f"network.space={name}", "split=none", "network.supernet_affine=true"]
    words += [f"network.channels={channels}", f"network.cells_per_stage={cells_per_stage}"]
    return load_recipe(words, drop_unread=True).recipe


@pytest.mark.parametrize("name", SPACES)
def test_the_table_is_what_fvcore_counts(name: str) -> None:
    shape, settings = ImageShape(3, 16, 10), recipe(name)
    table = TASK.costs(settings, shape)
    for seed in range(10):
        architecture = SPACES[name].sample(random.Random(seed))
        measured = measure(TASK.network(architecture, settings, shape), shape.input_size)
        figures = table.costs(architecture)
        assert {key: figures[key] for key in measured} == measured


def test_a_network_of_the_papers_size() -> None:
    """Nine cells of 16 channels; parameters counted by hand.

    One node, a 3x3 convolution of the input, which the output reads beside the input: two
    projections and a convolution a cell, each with its batch norm.
    """
    conv = "conv3x3-bn-relu"
    cell = GraphCell((conv,) * 4, ((0,), (0, 1), (0, 1), (0, 1), (0, 1)))
    architecture = FIRST.of_cell(cell)
    settings = recipe("nasbench1shot1_1", channels=16, cells_per_stage=3)
    network = TASK.network(architecture, settings, ImageShape(3, 32, 10))
    assert sum(len(stage) for stage in network.stages) == 9  # type: ignore[arg-type,misc,union-attr]
    count = 3 * 16 * 9 + 2 * 16
    inputs = 16
    for width in (16, 32, 64):
        for _ in range(3):
            count += 2 * (inputs * width + 2 * width) + 9 * width * width + 2 * width
            inputs = 2 * width
    count += inputs * 10 + 10
    assert sum(p.numel() for p in network.parameters()) == count
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


class TestGraphCells(TaskSuite):
    @pytest.fixture
    def task(self) -> Task:
        return TASK

    @pytest.fixture
    def recipe(self) -> Recipe:
        return recipe("nasbench1shot1_2")


@pytest.mark.parametrize("name", SPACES)
def test_a_picture_shows_every_node_and_every_parent(name: str) -> None:
    space = SPACES[name]
    for seed in range(5):
        architecture = space.sample(random.Random(seed))
        picture = ElementTree.fromstring(TASK.draw(space, architecture))
        circles = [e for e in picture.iter() if e.tag.endswith("circle")]
        arrows = [e for e in picture.iter() if e.tag.endswith("path") and "marker-end" in e.attrib]
        assert len(circles) == space.inner + 2
        assert len(arrows) == sum(PARENTS[name])
