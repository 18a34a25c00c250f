from __future__ import annotations

import json
import random
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from fewshot_core.costs.table import (
    MEASURES,
    CostTable,
    Limits,
    feasible,
    measure,
    require_feasible,
)
from fewshot_core.errors import ConstraintError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import ToySpace, toy_space


@dataclass(frozen=True)
class HalfConnected(ToySpace):
    """Decision ``b`` counts only where ``a`` is not 0; nothing is connected where both are 0."""

    def connected(self, architecture: Architecture) -> Architecture | None:
        a, b, *rest = architecture.choices
        if a == b == 0:
            return None
        return Architecture(self.name, (a, b if a else 0, *rest))


SPACE = HalfConnected("half", toy_space(3, 3).decisions)
ROOT = Region.root(SPACE)


def table(step: float = 1.0) -> CostTable:
    """Option k of ``a`` costs k, that of ``b`` 10 k, and everything else 100."""
    base = dict.fromkeys(MEASURES, 100.0)
    options = {
        name: {k: dict.fromkeys(MEASURES, step * scale * k) for k in (0, 1, 2)}
        for name, scale in (("a", 1), ("b", 10))
    }
    return CostTable(SPACE, base, options)


def architecture(*choices: int) -> Architecture:
    return Architecture(SPACE.name, choices)


# --- measuring


def test_measuring_counts_what_torch_and_arithmetic_count() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    costs = measure(network, (3, 6, 6))
    assert costs["params"] == 3 * 4 * 9 + 8 + 4 * 5 + 5
    assert costs["flops"] == 36 * 3 * 4 * 9 + 4 * 5
    assert costs["fvcore_flops"] > costs["flops"]
    assert set(costs) == set(MEASURES)


def test_measuring_leaves_the_network_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.random.fork_rng():
        measure(network, (1, 4, 4))
    assert all(module.training for module in network.modules())
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert capfd.readouterr() == ("", "")


# --- the table


def test_costs_add_up() -> None:
    costs = table().costs(architecture(2, 1))
    assert costs == {
        **dict.fromkeys(MEASURES, 112.0),
        **{f"connected_{name}": 112.0 for name in MEASURES},
    }


def test_connected_costs_leave_out_what_is_not_connected() -> None:
    costs = table().costs(architecture(0, 2))
    assert (costs["flops"], costs["connected_flops"]) == (120.0, 100.0)


def test_a_network_without_connection_costs_its_base() -> None:
    costs = table().costs(architecture(0, 0))
    assert costs["connected_params"] == 100.0


def test_costs_leave_the_table_alone() -> None:
    costs = table()
    before = json.dumps(costs.to_json())
    costs.costs(architecture(2, 2))["flops"] = 0
    costs.total(None)["flops"] = 0
    assert json.dumps(costs.to_json()) == before


def test_the_table_can_be_written_as_json() -> None:
    value = json.loads(json.dumps(table().to_json()))
    assert value["space"] == "half"
    assert value["base"]["params"] == 100.0
    assert value["options"]["b"]["2"]["flops"] == 20.0


# --- limits


@pytest.mark.parametrize(
    ("limits", "choices", "allowed"),
    [
        (Limits(), (2, 2), True),
        (Limits(flops=122), (2, 2), True),  # a limit may be reached
        (Limits(flops=121.9), (2, 2), False),
        (Limits(params=121.9), (2, 2), False),
        (Limits(flops=200, params=121), (2, 2), False),
        (Limits(flops=100), (0, 2), True),  # what is not connected does not count
    ],
)
def test_limits_hold_for_the_connected_network(
    limits: Limits, choices: tuple[int, int], allowed: bool
) -> None:
    assert feasible(table(), limits)(architecture(*choices)) is allowed
    assert limits.allow(table().costs(architecture(*choices))) is allowed


def test_limits_can_be_read() -> None:
    assert str(Limits(flops=1e6, params=2000)) == "flops <= 1,000,000, params <= 2,000"
    assert str(Limits()) == ""


def test_what_is_feasible_passes() -> None:
    for limits in (Limits(), Limits(flops=100), Limits(params=100, flops=1e9)):
        require_feasible(ROOT, table(), limits)


@pytest.mark.parametrize("name", ["flops", "params"])
def test_what_nothing_meets_is_refused_with_the_least(name: str) -> None:
    with pytest.raises(ConstraintError, match=f"constraint.{name}=99 cannot be met") as caught:
        require_feasible(ROOT, table(), Limits(**{name: 99.0}))
    assert "the cheapest architecture has 100" in str(caught.value)
    assert f"raise constraint.{name} to at least 100" in str(caught.value)


def test_the_least_is_that_of_the_region() -> None:
    part = ROOT.restrict("a", (1, 2)).restrict("b", (2,))
    require_feasible(part, table(), Limits(flops=121))
    with pytest.raises(ConstraintError, match="has 121"):
        require_feasible(part, table(), Limits(flops=120))


def test_a_constraint_tells_architectures_apart() -> None:
    accepts = feasible(table(), Limits(flops=110))
    rng = random.Random(0)
    drawn = [ROOT.sample(rng) for _ in range(2000)]
    assert {accepts(a) for a in drawn} == {True, False}
