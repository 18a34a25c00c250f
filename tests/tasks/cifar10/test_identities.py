"""The page about the names of an architecture says what the program says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fewshot_core.data import ImageShape
from fewshot_core.recipe.load import load_recipe
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.space import nasbench201
from fewshot_tasks.cifar10.task import TASK

PAGE = (Path(__file__).parents[3] / "docs" / "identities.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `([a-z ]+)` \| `(.+?)` \|", PAGE.replace(r"\|", "¦"), re.MULTILINE))
VALUES = {name: value.replace("¦", "|") for name, value in ROWS.items()}
SPACE = nasbench201()


@pytest.fixture
def cell() -> Architecture:
    return Architecture(SPACE.name, tuple(VALUES["choices"].split(", ")))


def test_every_name_of_the_page(cell: Architecture) -> None:
    connected = SPACE.connected(cell)
    assert connected is not None
    assert {
        "choices": ", ".join(map(str, cell.choices)),
        "encode": ", ".join(map(str, SPACE.encode(cell))),
        "genotype": SPACE.genotype(cell),
        "id": cell.id,
        "parts": ", ".join(f"{place} {part}" for place, part in SPACE.parts(cell)),
        "plain": SPACE.genotype(SPACE.plain(cell)),
        "connected": SPACE.genotype(connected),
        "canonical": SPACE.genotype(SPACE.canonical(cell)),
        "canonical id": SPACE.canonical(cell).id,
    } == VALUES
    assert SPACE.parse(VALUES["genotype"]) == cell
    assert len({cell, connected, SPACE.canonical(cell)}) == 3  # or the page shows nothing


def test_what_it_costs(cell: Architecture) -> None:
    recipe = load_recipe(["recipe=nasbench201_paper"]).recipe
    costs = TASK.costs(recipe, ImageShape(3, 32, 10)).costs(cell)
    assert f"has {costs['params']:,.0f} parameters" in " ".join(PAGE.split())
    assert f"and {costs['connected_params']:,.0f} in its connected" in " ".join(PAGE.split())
