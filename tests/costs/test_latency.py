from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.costs.latency import (
    NetworkParts,
    Part,
    compare,
    latency_of,
    measure_parts,
    with_latency,
)
from fewshot_core.costs.table import CostTable, Limits, feasible, require_feasible
from fewshot_core.errors import ConstraintError, RunFolderError
from fewshot_core.spaces.region import Region
from fewshot_core.testing.toys import toy_space

SPACE = toy_space(2, 2)
CPU = torch.device("cpu")
TABLE = CostTable(
    SPACE,
    {"flops": 1.0},
    {d.name: {k: {"flops": float(k)} for k in (0, 1)} for d in SPACE.decisions},
)
MEASURED = {
    "base": 1.0,
    "options": {d.name: {"0": 0.5, "1": 2.0} for d in SPACE.decisions},
}


class Counting(nn.Module):
    runs: list[str]

    def __init__(self, name: str, runs: list[str]) -> None:
        super().__init__()
        self.name, self.runs = name, runs

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        assert x.shape == (1, 3, 2, 2)
        self.runs.append(self.name)
        return x


def test_equal_parts_are_timed_once() -> None:
    runs: list[str] = []

    def part(key: str) -> Part:
        return Part(key, lambda: Counting(key, runs), (3, 2, 2))

    options = {"a": {0: part("x"), 1: part("y")}, "b": {0: part("x"), 1: part("x")}}
    ticks: list[int] = []
    measured = measure_parts(NetworkParts((part("z"),), options), CPU, ticks.append)
    assert sorted(set(runs)) == ["x", "y", "z"]
    assert runs.count("x") == runs.count("y") == runs.count("z")
    assert ticks == [1, 2, 3]
    assert measured["options"]["a"]["0"] == measured["options"]["b"]["1"] > 0
    table = with_latency(TABLE, json.loads(json.dumps(measured)))
    times = measured["options"]
    expected = measured["base"] + times["a"]["1"] + times["b"]["0"]
    assert table.costs(SPACE.architecture({"a": 1, "b": 0}))["latency"] == pytest.approx(expected)


def test_latencies_add_up_and_limit() -> None:
    table = with_latency(TABLE, MEASURED)
    fast, slow = (SPACE.architecture({"a": k, "b": k}) for k in (0, 1))
    assert table.costs(fast)["connected_latency"] == 2.0
    assert table.costs(slow)["connected_latency"] == 5.0
    accepts = feasible(table, Limits(latency=2.0))
    assert accepts(fast)
    assert not accepts(slow)
    assert accepts.excess(slow) == pytest.approx(1.5)
    with pytest.raises(ConstraintError, match=r"constraint.latency=1.5 ms.*cheapest.*2 ms"):
        require_feasible(Region.root(SPACE), table, Limits(latency=1.5))


@pytest.mark.parametrize("damage", [{}, {"base": 1.0, "options": {}}, {"base": "x", "options": {}}])
def test_a_damaged_file_is_one_line(damage: dict) -> None:
    with pytest.raises(RunFolderError, match=r"latency\.json") as caught:
        with_latency(TABLE, damage)
    assert "\n" not in str(caught.value)


def test_sums_are_compared_with_whole_networks() -> None:
    network = nn.Conv2d(3, 3, 1)
    whole = latency_of(network, (3, 4, 4), CPU)
    assert whole > 0
    found = compare(
        with_latency(TABLE, MEASURED),
        {SPACE.architecture({"a": 0, "b": 1}): network},
        (3, 4, 4),
        CPU,
    )
    assert found["networks"] == 1
    assert found["mean_deviation"] == found["largest_deviation"] > 0
