from __future__ import annotations

import random
import subprocess
import sys

import pytest

from fewshot_core.errors import ArchitectureError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import SearchSpace
from fewshot_core.testing.spaces import SpaceSuite
from fewshot_tasks.autogan.space import generator_space

AUTOGAN_A = "1,0,1,1,1,0,0,1,1,1,0,1,0,3"
SPACE = generator_space()


class TestTwoCells(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return generator_space(2)


class TestThreeCells(SpaceSuite):
    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACE


@pytest.mark.parametrize(("cells", "size"), [(1, 36), (2, 2592), (3, 373_248)])
def test_sizes(cells: int, size: int) -> None:
    space = generator_space(cells)
    assert space.size() == size
    assert len(space.decisions) == 5 * cells - 1


def test_the_published_generator() -> None:
    choices = SPACE.choices(SPACE.parse(AUTOGAN_A))
    for cell, up, shortcut in (
        (1, "nearest", "add"),
        (2, "bilinear", "add"),
        (3, "nearest", "none"),
    ):
        assert choices[f"cell{cell}_block"] == "pre"
        assert choices[f"cell{cell}_norm"] == "none"
        assert choices[f"cell{cell}_upsample"] == up
        assert choices[f"cell{cell}_shortcut"] == shortcut
    assert (choices["cell2_skips"], choices["cell3_skips"]) == ("cell1", "both")


def test_the_lowest_bit_of_skips_is_the_cell_just_before() -> None:
    texts = [f"0,0,0,0,0,0,0,0,0,0,0,0,0,{k}" for k in range(4)]
    found = [SPACE.choices(SPACE.parse(text))["cell3_skips"] for text in texts]
    assert found == ["none", "cell2", "cell1", "both"]


def test_vectors_go_both_ways() -> None:
    rng = random.Random(0)
    for _ in range(100):
        architecture = SPACE.sample(rng)
        vector = SPACE.encode(architecture)
        assert len(vector) == 14
        assert SPACE.parse(",".join(map(str, vector))) == architecture
        assert SPACE.parse(f"[{', '.join(map(str, vector))}]") == architecture
        assert SPACE.parse(" ".join(map(str, vector))) == architecture
        assert sum(SPACE.of_cells(architecture), ()) == vector


@pytest.mark.parametrize(
    "text",
    ["", "1,0", AUTOGAN_A + ",0", AUTOGAN_A.replace("3", "4"), AUTOGAN_A.replace("3", "-1"), "x"],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ArchitectureError):
        SPACE.parse(text)


def test_a_number_out_of_range_is_named() -> None:
    with pytest.raises(ArchitectureError, match=r"cell1_norm=3.*2 instance"):
        SPACE.parse(AUTOGAN_A.replace("1,0", "1,3", 1))


@pytest.mark.parametrize("cells", [0, 4])
def test_other_numbers_of_cells_are_refused(cells: int) -> None:
    with pytest.raises(ArchitectureError):
        generator_space(cells)


def test_features() -> None:
    architecture = SPACE.parse("0,1,2,1,1,2,2,0,1,1,0,1,1,3")
    values = {name: feature(architecture) for name, feature in SPACE.features().items()}
    assert values == {
        "post_blocks": 1, "batch_norms": 1, "norms": 2, "deconvs": 2, "shortcuts": 2, "skips": 3,
    }  # fmt: skip


def test_cells_of_a_region() -> None:
    space = generator_space(2)
    region = Region.root(space).restrict("cell1_upsample", ("deconv",))
    first, second = space.cells_of(region)
    assert (len(first), len(second)) == (12, 72)
    assert {cell[2] for cell in first} == {2}
    narrow = region.band("deconvs", 2, 3)
    assert {cell[2] for cell in space.cells_of(narrow)[1]} == {2}


def test_it_needs_no_torch() -> None:
    code = "import sys, fewshot_tasks.autogan.space; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
