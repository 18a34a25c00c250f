from __future__ import annotations

import csv
import itertools
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewshot_core.errors import ArchitectureError
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.testing.spaces import SpaceSuite
from fewshot_tasks.cifar10.network import live_edges, parse_cell
from fewshot_tasks.cifar10.space import NONLINEAR, OPERATIONS, nasbench201

SPACE = nasbench201()
CELL = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|"


class TestNasBench201(SpaceSuite):
    """Canonical forms do not keep the cost: see :meth:`CellSpace.canonical`."""

    @pytest.fixture
    def space(self) -> SearchSpace:
        return SPACE


# --- text


def test_every_cell_is_read_back() -> None:
    texts = set()
    for cell in SPACE.enumerate():
        text = SPACE.genotype(cell)
        assert SPACE.parse(text) == cell
        texts.add(text)
    assert len(texts) == SPACE.size() == 15_625


def test_a_cell_is_written_as_the_benchmark_writes_it() -> None:
    assert SPACE.choices(SPACE.parse(CELL)) == {
        "edge_1_0": "nor_conv_3x3",
        "edge_2_0": "skip_connect",
        "edge_2_1": "none",
        "edge_3_0": "none",
        "edge_3_1": "avg_pool_3x3",
        "edge_3_2": "nor_conv_1x1",
    }
    assert SPACE.genotype(SPACE.parse(CELL)) == CELL
    assert SPACE.parse(f"  {CELL}\n") == SPACE.parse(CELL)


def test_every_cell_of_the_published_table_is_read_back(shared_data: Path) -> None:
    with (shared_data / "nasbench201" / "accuracies.csv").open(newline="") as file:
        texts = [row["arch"] for row in csv.DictReader(file)]
    cells = [SPACE.parse(text) for text in texts]
    assert [SPACE.genotype(cell) for cell in cells] == texts
    assert set(cells) == set(SPACE.enumerate())


MALFORMED = {
    "empty": "",
    "no text": None,
    "number": 7,
    "list": [CELL],
    "words": "a good cell",
    "one node": "|none~0|",
    "two nodes": "|none~0|+|none~0|none~1|",
    "four nodes": CELL + "+|none~0|none~1|none~2|none~3|",
    "too many edges": CELL.replace("|none~1|+", "|none~1|none~2|+"),
    "too few edges": CELL.replace("|skip_connect~0|none~1|", "|skip_connect~0|"),
    "no edges": "||+||+||",
    "wrong source": CELL.replace("none~1", "none~0"),
    "swapped": CELL.replace("skip_connect~0|none~1", "none~1|skip_connect~0"),
    "large source": CELL.replace("none~1", "none~11"),
    "negative source": CELL.replace("none~1", "none~-1"),
    "no source": CELL.replace("none~1", "none"),
    "no tilde": CELL.replace("~", ""),
    "no bars": CELL.replace("|", ""),
    "open": CELL[:-1],
    "opened late": CELL[1:],
    "cut": CELL[:40],
    "unknown operation": CELL.replace("avg_pool_3x3", "max_pool_3x3"),
    "upper case": CELL.upper(),
    "space inside": CELL.replace("+", " + "),
    "other separator": CELL.replace("+", "-"),
    "empty operation": CELL.replace("none~1", "~1"),
    "leading zero": CELL.replace("none~1", "none~01"),
    "endless number": CELL.replace("none~1", "none~" + "1" * 5000),  # int() refuses to read it
    "digits of another script": CELL.replace("none~1", "none~١"),
    "line break": CELL.replace("none~1", "none~1\n"),
    "nul": CELL.replace("none~1", "none\0~1"),
    "code": "__import__('os').system('true')",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_text_is_refused_in_one_line(text: object) -> None:
    with pytest.raises(ArchitectureError) as caught:
        SPACE.parse(text)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_misspelt_operation_is_recognised() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'nor_conv_3x3'"):
        SPACE.parse(CELL.replace("nor_conv_3x3", "nor_conv3x3"))


TOKENS = st.sampled_from([*OPERATIONS, "|", "+", "~", "0", "1", "2", "-", " ", "\n", "", "x"])


@given(st.text() | st.lists(TOKENS, max_size=60).map("".join))
def test_nothing_but_an_architecture_error_escapes_from_parse(text: str) -> None:
    with suppress(ArchitectureError):
        assert SPACE.genotype(SPACE.parse(text)) == text.strip()


@given(st.data())
def test_a_damaged_cell_is_refused_or_is_another(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(CELL) - 1))
    text = CELL[:place] + data.draw(st.text(max_size=3)) + CELL[place + 1 :]
    with suppress(ArchitectureError):
        assert SPACE.genotype(SPACE.parse(text)) == text.strip()


# --- equal networks


def reaches(cell: Architecture) -> bool:
    """Whether a path leads from node 0 to node 3, by trying all of them."""
    used = {e for e, op in zip(SPACE.edges, cell.choices, strict=True) if op != "none"}
    return any(set(path) <= used for path in PATHS)


PATHS = [
    [(b, a) for a, b in itertools.pairwise((0, *middle, 3))] for middle in ((), (1,), (2,), (1, 2))
]


def test_the_connected_part_is_what_lies_on_a_path() -> None:
    for cell in SPACE.enumerate():
        used = {e for e, op in zip(SPACE.edges, cell.choices, strict=True) if op != "none"}
        live = {edge for path in PATHS if set(path) <= used for edge in path}
        connected = SPACE.connected(cell)
        if not live:
            assert connected is None
            continue
        assert connected is not None
        assert connected.choices == tuple(
            op if edge in live else "none"
            for edge, op in zip(SPACE.edges, cell.choices, strict=True)
        )


def test_341_cells_are_disconnected() -> None:
    disconnected = [cell for cell in SPACE.enumerate() if SPACE.connected(cell) is None]
    assert len(disconnected) == 341
    assert not any(reaches(cell) for cell in disconnected)


def test_the_network_prunes_what_the_space_says() -> None:
    """The two are written down twice, because exported models carry their own file alone."""
    for cell in random.Random(0).sample(list(SPACE.enumerate()), 2000):
        connected = SPACE.connected(cell)
        live = {(t, s): op for t, s, op in live_edges(parse_cell(SPACE.genotype(cell)))}
        expected = connected.choices if connected else ("none",) * 6
        assert tuple(live.get(edge, "none") for edge in SPACE.edges) == expected


def test_the_benchmark_counts_6466_networks() -> None:
    classes: dict[Architecture, list[Architecture]] = {}
    for cell in SPACE.enumerate():
        classes.setdefault(SPACE.canonical(cell), []).append(cell)
    assert len(classes) == 6466
    for representative, members in classes.items():
        assert representative in members
        fewest = min(sum(op in NONLINEAR for op in member.choices) for member in members)
        assert sum(op in NONLINEAR for op in representative.choices) == fewest


def test_a_skip_stands_for_its_source() -> None:
    one = SPACE.parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|")
    other = SPACE.parse("|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|")
    third = SPACE.parse("|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|")
    assert SPACE.canonical(one) == SPACE.canonical(other)
    assert SPACE.canonical(one) != SPACE.canonical(third)  # summands count zeros, as they do there


# --- features


def test_features_count_operations() -> None:
    cell = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")
    values = {name: SPACE.feature(name, cell) for name in SPACE.features()}
    assert values == {
        "nonlinear": 2,
        "connected_nonlinear": 0,
        "skips": 1,
        "edges": 3,
        "connected_edges": 1,
    }


def test_features_of_a_cell_without_a_path() -> None:
    cell = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|")
    assert SPACE.feature("nonlinear", cell) == 2
    assert SPACE.feature("connected_nonlinear", cell) == SPACE.feature("connected_edges", cell) == 0
