"""What is asked of SMAC's forest, and what is made of its answers."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from fewshot_core.search.strategies.smac import (
    INITIAL,
    RETRAIN,
    SmacStrategy,
    _logarithmic,
    neighbours,
)
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import RecordingEvaluator, from_plugin, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(5, 5, 5, 5))
SETTINGS = from_plugin("smac")

pytest.importorskip("smac")


def test_neighbours_differ_in_one_decision() -> None:
    region = ROOT.restrict("a", (1, 3)).band("sum", 4, 9)
    one = Architecture(ROOT.space.name, (1, 2, 2, 0))
    found = neighbours(region, one)
    assert all(region.contains(a) for a in found)
    assert {sum(x != y for x, y in zip(a.choices, one.choices, strict=True)) for a in found} == {1}
    assert len(set(found)) == len(found)
    every = [a for a in region.enumerate() if sum(map(int.__ne__, a.choices, one.choices)) == 1]
    assert set(found) == set(every)


def test_costs_are_scaled_as_smac_does() -> None:
    """Against SMAC's own encoder: the formula of its source, evaluated by hand."""
    costs = [3.0, 1.0, 7.0, 2.0, 11.0]
    least = min(costs) - (np.percentile(costs, 5) - min(costs))
    expected = np.log((np.array(costs) - least) / (max(costs) - least))
    assert _logarithmic(costs).ravel() == pytest.approx(expected, abs=1e-6)
    assert _logarithmic(costs).max() == 0.0


def test_costs_without_a_number_are_the_worst() -> None:
    scaled = _logarithmic([3.0, math.inf, 7.0]).ravel()
    assert scaled[1] == scaled[2] == 0.0
    assert np.isfinite(scaled).all()
    assert _logarithmic([math.inf, math.inf]).tolist() == [[0.0], [0.0]]
    assert _logarithmic([2.0, 2.0]).tolist() == [[0.0], [0.0]]


def test_nothing_known_is_asked_again_but_by_chance() -> None:
    evaluator = RecordingEvaluator(total)
    done = search(SETTINGS, ROOT, evaluator, 120)
    assert len(done) - len(evaluator.asked) < 12


def test_the_model_leads() -> None:
    done = search(SETTINGS, ROOT, RecordingEvaluator(total), 80)
    assert max(t.score for t in done[INITIAL : INITIAL + 40]) == 16  # of 625, the one best
    early = [t.score for t in done[:INITIAL]]
    late = [t.score for t in done[INITIAL + RETRAIN :]]
    assert sum(late) / len(late) > sum(early) / len(early) + 2


def test_candidates_are_feasible() -> None:
    strategy = SmacStrategy(ROOT, lambda a: total(a) <= 9)
    for number, architecture in enumerate(list(ROOT.enumerate())[: INITIAL * 6 : 6]):
        strategy.tell(Trial(number, architecture, total(architecture), {}))
    strategy.ask(0)
    assert strategy._ranked
    assert all(total(architecture) <= 9 for architecture in strategy._ranked)
    assert max(map(total, strategy._ranked)) == 9


def test_an_improvement_that_rounding_makes_negative_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SMAC's function raises for all that it is asked about, if one is negative."""
    from smac.acquisition.function import EI

    strategy = SmacStrategy(ROOT, lambda a: True)
    costs = {a: -total(a) for a in list(ROOT.enumerate())[:60:2]}
    exact = strategy._tools.improvement(costs, 0)
    assert exact is not None
    asked = list(ROOT.enumerate())[1:120:7]
    expected, real = exact(asked), EI._compute
    bad = strategy._tools._encode([asked[3]])[0]

    def refusing(self: EI, rows: np.ndarray) -> np.ndarray:
        if (rows == bad).all(axis=1).any():
            raise ValueError("Expected Improvement is smaller than 0 for at least one sample.")
        return real(self, rows)

    monkeypatch.setattr(EI, "_compute", refusing)
    assert exact(asked) == pytest.approx([*expected[:3], 0.0, *expected[4:]])


def test_the_same_in_every_process() -> None:
    """SMAC's own maximiser is not: it goes through a set of configurations."""
    code = (
        "from fewshot_core.spaces.region import Region\n"
        "from fewshot_core.testing.strategies import RecordingEvaluator, from_plugin, search\n"
        "from fewshot_core.testing.toys import total, toy_space\n"
        "root = Region.root(toy_space(5, 5, 5, 5))\n"
        "done = search(from_plugin('smac'), root, RecordingEvaluator(total), 32)\n"
        "print([trial.architecture.choices for trial in done])\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
