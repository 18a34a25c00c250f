from __future__ import annotations

import random

import pytest

from fewshot_core.costs.table import MEASURES, CostTable
from fewshot_core.spaces.extremes import descend, extreme
from fewshot_core.spaces.region import Region
from fewshot_core.testing.toys import total, toy_space

SPACE = toy_space(3, 3, 4)
ROOT = Region.root(SPACE)


def test_the_largest_is_found() -> None:
    assert extreme(ROOT, total).choices == (2, 2, 3)
    assert extreme(ROOT, lambda a: -total(a)).choices == (0, 0, 0)


def test_the_largest_stays_in_its_region() -> None:
    part = ROOT.restrict("c", (0, 1)).band("sum", 0, 4)
    found = extreme(part, total)
    assert part.contains(found)
    assert total(found) == 3


def test_descent_ends_where_nothing_is_in_excess() -> None:
    rng = random.Random(0)
    for limit in range(8):
        start = ROOT.sample(rng)
        found = descend(ROOT, start, lambda a, top=limit: max(0.0, total(a) - top), rng)
        assert ROOT.contains(found)
        assert total(found) <= limit
        if total(start) <= limit:
            assert found == start


def test_descent_ends_where_nothing_helps() -> None:
    rng = random.Random(0)
    found = descend(ROOT, ROOT.sample(rng), lambda a: 1 + total(a), rng)
    assert total(found) == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_a_table_names_its_cheapest(measure: str) -> None:
    options = {
        decision.name: {k: dict.fromkeys(MEASURES, float(abs(k - 1))) for k in decision.options}
        for decision in SPACE.decisions
    }
    table = CostTable(SPACE, dict.fromkeys(MEASURES, 5.0), options)
    assert table.cheapest(ROOT, measure).choices == (1, 1, 1)
    assert table.cheapest(ROOT.restrict("a", (0, 2)), measure).choices[1:] == (1, 1)


def test_a_table_takes_one_more_measure() -> None:
    options = {d.name: {k: {"flops": 1.0} for k in d.options} for d in SPACE.decisions}
    table = CostTable(SPACE, {"flops": 1.0}, options)
    times = {d.name: {k: 0.5 * k for k in d.options} for d in SPACE.decisions}
    costs = table.with_measure("latency", 2.0, times).costs(extreme(ROOT, total))
    assert costs == {
        "flops": 4.0,
        "latency": 5.5,
        "connected_flops": 4.0,
        "connected_latency": 5.5,
    }
