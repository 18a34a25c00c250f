"""Among scores that are equal within their noise the cheaper network is found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.costs.table import Limits
from fewshot_core.pipeline.choice import binomial_error, choose, standard_error
from fewshot_core.pipeline.search import hand_over
from fewshot_core.pipeline.summary import choice_lines, limit_lines, next_command
from fewshot_core.plugins import make_default
from fewshot_core.search.trial import Trial, best_trial
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.space import nasbench201

from .paper import Paper, on_paper  # noqa: F401


def cell(*operations: str) -> Architecture:
    return nasbench201().parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*operations))


LARGE = cell(*["nor_conv_3x3"] * 6)
SMALL = cell("nor_conv_1x1", *["skip_connect"] * 5)
TINY = cell(*["skip_connect"] * 6)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """10,000 validation images: one standard error at 80 % is 0.4 %."""
    return Paper(tmp_path, lambda a: 0.0, lambda a: 0.0)


def trials(*scores: float) -> list[Trial]:
    return [
        Trial(i, a, s, {})
        for i, (a, s) in enumerate(zip((LARGE, SMALL, TINY), scores, strict=True))
    ]


def test_the_standard_error_of_a_share() -> None:
    assert binomial_error(80.0, 1000) == pytest.approx(100 * math.sqrt(0.16 / 1000), rel=0.01)
    assert binomial_error(100.0, 1000) > 0  # nobody knows that every image will be right
    assert binomial_error(50.0, 100) > binomial_error(50.0, 200)


def test_the_cheaper_of_equals_is_found(run: Any) -> None:
    choice = choose(run, trials(80.0, 79.7, 79.0))
    assert (choice.found.number, choice.best.number) == (1, 0)  # the cheapest is worse than noise
    assert choice.error == pytest.approx(0.4, rel=0.01)
    hand_over(run, trials(80.0, 79.7, 79.0), None)
    found = json.loads(run.folder.file("found.json").read_text())
    assert (found["trial"], found["score"]) == (1, 79.7)
    assert found["choice"]["best"] == {"trial": 0, "score": 80.0}


def test_of_the_same_cost_the_better_score_is_found() -> None:
    known = [Trial(0, SMALL, 79.8, {}), Trial(1, SMALL, 80.0, {}), Trial(2, LARGE, 80.1, {})]
    assert best_trial(known, cost=lambda a: (float(a == LARGE),), within=1.0).number == 1


def test_it_can_be_turned_off_or_made_wider(run: Any) -> None:
    run.change(search__noise=0.0)
    assert choose(run, trials(80.0, 79.7, 79.0)).found.number == 0
    run.change(search__noise=3.0)
    assert choose(run, trials(80.0, 79.7, 79.0)).found.number == 2


def test_fewer_images_know_less(run: Any) -> None:
    run.change(evaluator__images=100)
    assert standard_error(run, 80.0) == pytest.approx(binomial_error(80.0, 100))
    assert choose(run, trials(80.0, 79.7, 77.0)).found.number == 2


def test_the_noise_of_other_scores_is_not_known(run: Any) -> None:
    run.change(evaluator__score="loss")
    assert standard_error(run, -1.0) is None
    assert choose(run, trials(-1.0, -1.0001, -1.1)).found.number == 0
    for name in ("predictor", "naswot", "table"):
        run.recipe = run.recipe.__class__(evaluator=make_default("evaluator", name)())
        assert standard_error(run, 80.0) is None
    run.recipe = run.recipe.__class__(evaluator=make_default("evaluator", "standalone")())
    assert standard_error(run, 80.0) is not None


def test_scores_that_are_no_numbers(run: Any) -> None:
    low = -math.inf
    assert choose(run, trials(low, low, low)).found.number == 2  # the cheapest, as always
    assert choose(run, trials(10.0, low, low)).found.number == 0


def test_the_summary_says_why(run: Any) -> None:
    run.limits = Limits(flops=4000.0)
    lines = limit_lines(run, {"connected_flops": 1000.0})
    assert lines == ["limit: FLOPs 4,000, of which 25 % are used"]
    (line,) = choice_lines(run, choose(run, trials(80.0, 79.7, 79.0)))
    assert "the best score is 80 (trial 0)" in line
    assert "search.noise=0" in line
    assert choice_lines(run, choose(run, trials(80.0, 60.0, 60.0))) == []
    assert next_command(Path("runs/my run")) == "fewshot retrain 'run=runs/my run'"
