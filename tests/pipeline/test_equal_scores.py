"""Among architectures of equal score the cheapest is found, wherever a run chooses one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fewshot_core.costs.table import CostTable, Limits
from fewshot_core.pipeline import retrain as retrain_module
from fewshot_core.pipeline.audit import audit
from fewshot_core.pipeline.search import hand_over, record
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.space import nasbench201

from .paper import Paper, on_paper  # noqa: F401

# What has the fewest FLOPs has the most parameters, and the other way round.
FLOPS = {"nor_conv_1x1": 100.0, "nor_conv_3x3": 900.0}
PARAMS = {"nor_conv_1x1": 700.0, "nor_conv_3x3": 300.0}


def flat(architecture: Architecture) -> float:
    return 5.0


@pytest.fixture
def run(tmp_path: Path) -> Paper:
    made: Any = Paper(tmp_path, flat, flat)
    space = made.root.space
    made.costs = CostTable(
        space,
        dict.fromkeys(("params", "flops", "fvcore_flops"), 1000.0),
        {
            decision.name: {
                option: {
                    "params": PARAMS.get(str(option), 0.0),
                    "flops": FLOPS.get(str(option), 0.0),
                    "fvcore_flops": 0.0,
                }
                for option in decision.options
            }
            for decision in space.decisions
        },
    )
    found: Paper = made
    return found


def cell(*operations: str) -> Architecture:
    return nasbench201().parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*operations))


ONE = "nor_conv_1x1"
THREE = "nor_conv_3x3"
SKIP = "skip_connect"
LARGE = cell(*[THREE] * 6)
FEW_FLOPS = cell(ONE, *[SKIP] * 5)
FEW_PARAMS = cell(THREE, *[SKIP] * 5)
AGAIN = cell(SKIP, ONE, *[SKIP] * 4)  # costs the same as FEW_FLOPS
WORSE = cell(*[SKIP] * 6)  # the cheapest of all, and not as good
ORDER = [LARGE, FEW_PARAMS, AGAIN, FEW_FLOPS, WORSE]


def trials() -> list[Trial]:
    return [Trial(i, a, 1.0 if a == WORSE else 5.0, {}) for i, a in enumerate(ORDER)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), AGAIN),  # fewest FLOPs; of two with as many, the first
        (Limits(flops=1e9), AGAIN),
        (Limits(params=1e9), FEW_PARAMS),
        (Limits(flops=1e9, params=1e9), AGAIN),
    ],
)
def test_a_search_hands_over_the_cheapest_of_the_best(
    limits: Limits, expected: Architecture, run: Paper
) -> None:
    run.limits = limits
    hand_over(run, trials(), None)  # type: ignore[arg-type]
    found = json.loads(run.folder.file("found.json").read_text())
    assert found["trial"] == ORDER.index(expected)
    assert found["genotype"] == run.root.space.genotype(expected)


def test_the_front_has_the_fewest_parameters_of_equals(run: Paper) -> None:
    few = cell(*[THREE] * 1, *[SKIP] * 5)  # 900 FLOPs, 300 parameters
    many = cell(*[ONE] * 6)  # 600 FLOPs
    more = run.costs
    equal = CostTable(
        more.space,
        more.base,
        {
            place: {part: {**costs, "flops": 0.0} for part, costs in parts.items()}
            for place, parts in more.options.items()
        },
    )
    run.costs = equal
    record(run, [Trial(0, many, 5.0, {}), Trial(1, few, 5.0, {})])  # type: ignore[arg-type]
    front = json.loads(run.folder.file("pareto.json").read_text())["front"]
    assert [point["trial"] for point in front] == [1]


def test_an_audit_is_about_the_cost_of_what_was_found(run: Paper) -> None:
    run.limits = Limits(params=1e9)
    run.change(audit__networks=3)
    result = audit(run, trials(), FEW_PARAMS)  # type: ignore[arg-type]
    assert result is not None
    assert result["cost"]["found"] == 1900  # FLOPs of the one with the fewest parameters


def test_one_shot_chooses_as_a_search_does(run: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    record(run, trials())  # type: ignore[arg-type]
    with run.folder.file("trials.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(ORDER)
    made: Any = run
    made.tree = SimpleNamespace(children=["regions"])
    scores = {trial.architecture: trial.score for trial in trials()}
    scores[LARGE] = float("nan")  # of a supernet that has collapsed
    monkeypatch.setattr(retrain_module, "score_and_keep", lambda *args: scores)
    assert retrain_module._one_shot(made) == AGAIN
    run.limits = Limits(params=1e9)
    assert retrain_module._one_shot(made) == FEW_PARAMS
