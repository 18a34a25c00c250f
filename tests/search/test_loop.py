from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest

from fewshot_core.errors import ConstraintError
from fewshot_core.search import loop as search_module
from fewshot_core.search.loop import run_search, sample_feasible
from fewshot_core.search.strategies import StrategyContext
from fewshot_core.search.study import trials
from fewshot_core.search.trial import Trial, best_scored, best_trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import (
    BudgetedRecordingEvaluator,
    RecordingEvaluator,
    from_plugin,
    new_study,
    search,
)
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space())
HUGE = Region.root(toy_space(*[7] * 40))
SETTINGS = from_plugin("rea", population=5, sample=2)


# --- scores


def test_metrics_are_kept_and_repetitions_are_not_evaluated() -> None:
    region = Region.root(toy_space(2, 2))

    class Evaluator:
        def __init__(self) -> None:
            self.asked: Counter[Architecture] = Counter()

        def evaluate(self, architecture: Architecture) -> dict[str, float]:
            self.asked[architecture] += 1
            return {"score": total(architecture), "loss": -total(architecture)}

    evaluator, study = Evaluator(), new_study()
    strategy = from_plugin("random")(StrategyContext(region, lambda a: True, total))
    done = run_search(study, region, strategy, evaluator, lambda a: True, count=30, seed=0)
    assert set(evaluator.asked.values()) == {1}
    assert len(evaluator.asked) == 4
    assert all(t.metrics == {"score": t.score, "loss": -t.score} for t in done)
    assert trials(study, region) == done


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_score_that_is_no_number_is_the_lowest(bad: float) -> None:
    """A supernet that has collapsed may give one."""

    def score(architecture: Architecture) -> float:
        return bad if total(architecture) % 2 else total(architecture)

    study = new_study()
    done = search(SETTINGS, ROOT, RecordingEvaluator(score), 12, study=study)
    assert {trial.score for trial in done if total(trial.architecture) % 2} == {-math.inf}
    assert [t.score for t in trials(study, ROOT)] == [t.score for t in done]
    assert best_trial(done, cost=None).score == max(
        total(t.architecture) for t in done if not total(t.architecture) % 2
    )


def test_progress_is_told() -> None:
    told: list[tuple[float, float]] = []
    strategy = SETTINGS(StrategyContext(ROOT, lambda a: True, total))
    done = run_search(
        new_study(),
        ROOT,
        strategy,
        RecordingEvaluator(total),
        lambda a: True,
        count=8,
        seed=0,
        on_trial=lambda count, best: told.append((count, best)),
    )
    best = list(itertools.accumulate((trial.score for trial in done), max))
    assert told == list(enumerate([-math.inf, *best]))


SCORES = [1.0, 3.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("prices", "number"),
    [
        (None, 1),  # nothing costs anything: the first
        ([(5.0,), (5.0,), (1.0,), (5.0,), (5.0,)], 1),
        ([(0.0,), (5.0,), (1.0,), (4.0,), (6.0,)], 3),  # the cheapest of the highest, not of all
        ([(0.0, 0.0), (5.0, 2.0), (1.0, 0.0), (5.0, 1.0), (5.0, 1.0)], 3),
    ],
)
def test_of_the_highest_the_cheapest_is_found_and_then_the_first(
    prices: list[tuple[float, ...]] | None, number: int
) -> None:
    named = [Architecture("s", (index,)) for index in range(len(SCORES))]
    done = [Trial(i, named[i], score, {}) for i, score in enumerate(SCORES)]
    cost = None if prices is None else dict(zip(named, prices, strict=True)).__getitem__
    for order in (done, done[::-1]):
        assert best_trial(order, cost=cost).number == number
    if cost is not None:
        assert best_scored(dict(zip(named, SCORES, strict=True)), cost) == named[number]


def test_a_score_that_is_no_number_is_not_the_best() -> None:
    one, two = (Architecture("s", (index,)) for index in range(2))
    assert best_scored({one: math.nan, two: -1.0}, lambda a: (0.0,)) == two


# --- constraints


def test_few_feasible_architectures_are_drawn_uniformly() -> None:
    allowed = set(itertools.islice((a for a in ROOT.enumerate() if total(a) == 4), 5))
    rng = random.Random(0)
    counts = Counter(sample_feasible(ROOT, allowed.__contains__, rng) for _ in range(1000))
    assert set(counts) == allowed
    assert all(130 < count < 270 for count in counts.values())


def test_one_in_many_is_found_by_enumeration() -> None:
    region = Region.root(toy_space(10, 10, 10, 10))
    only = Architecture(region.space.name, (3, 1, 4, 1))
    assert sample_feasible(region, only.__eq__, random.Random(0)) == only


@pytest.mark.parametrize("region", [ROOT, HUGE], ids=["small", "huge"])
def test_a_constraint_that_nothing_meets(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "DRAWS", 100)
    with pytest.raises(ConstraintError):
        sample_feasible(region, lambda a: False, random.Random(0))


def test_infeasible_proposals_do_not_count() -> None:
    study = new_study()
    done = search(
        from_plugin("random"),
        ROOT,
        RecordingEvaluator(total),
        10,
        accepts=lambda a: total(a) < 3,
        study=study,
    )
    # Nor are they kept: the study holds what was scored.
    assert len(done) == len(study.trials) == 10


def test_few_feasible_architectures_are_found_however_rare() -> None:
    """A sampler that proposes nothing else is not asked for ever."""
    only = Architecture(ROOT.space.name, (2, 2, 3))
    evaluator = RecordingEvaluator(total)
    done = search(from_plugin("tpe"), ROOT, evaluator, 15, accepts=only.__eq__)
    assert [trial.architecture for trial in done] == [only] * 15
    assert evaluator.asked == [only]


def test_what_is_feasible_is_found_out_once() -> None:
    asked = Counter[Architecture]()
    only = Architecture(ROOT.space.name, (2, 2, 3))

    def accepts(architecture: Architecture) -> bool:
        asked[architecture] += 1
        return architecture == only

    strategy = from_plugin("random")(StrategyContext(ROOT, lambda a: True, total))
    evaluator = RecordingEvaluator(total)
    run_search(new_study(), ROOT, strategy, evaluator, accepts, count=20, seed=0)
    assert set(asked.values()) == {1}


# --- budgets


def test_a_part_of_the_budget_counts_as_what_it_costs() -> None:
    class Dear(BudgetedRecordingEvaluator):
        def price(self, budget: float) -> float:
            return 0.5 + budget / 2

    done = search(from_plugin("hyperband"), ROOT, Dear(total), 10)
    spent = [0.5 + trial.budget / 2 for trial in done]
    assert sum(spent) >= 10 - 1e-9 > sum(spent[:-1])


def test_an_evaluator_without_budgets_is_never_given_one() -> None:
    evaluator = RecordingEvaluator(total)
    done = search(from_plugin("hyperband"), ROOT, evaluator, 20)
    assert {trial.budget for trial in done} == set(evaluator.budgets) == {1.0}
    assert len(done) == 20


def test_what_was_scored_with_a_part_is_scored_again_with_the_whole() -> None:
    evaluator = BudgetedRecordingEvaluator(total)
    search(from_plugin("hyperband"), ROOT, evaluator, 3)
    questions = list(zip(evaluator.asked, evaluator.budgets, strict=True))
    whole = [architecture for architecture, budget in questions if budget == 1]
    assert len(whole) == 1
    assert [b for a, b in questions if a == whole[0]] == [1 / 9, 1 / 3, 1]


def test_only_the_whole_budget_makes_a_find() -> None:
    found = Trial(1, Architecture("s", (1,)), 2.0, {})
    partial = Trial(0, Architecture("s", (0,)), 9.0, {}, budget=1 / 3)
    assert best_trial([partial, found], cost=None) == found
    worse = Trial(2, Architecture("s", (2,)), 1.0, {})
    assert best_trial([worse, partial, found], cost=None) == found


def test_progress_is_about_the_whole_budget() -> None:
    told: list[tuple[float, float]] = []
    evaluator = BudgetedRecordingEvaluator(total)
    strategy = from_plugin("hyperband")(StrategyContext(ROOT, lambda a: True, total, True))
    done = run_search(
        new_study(),
        ROOT,
        strategy,
        evaluator,
        lambda a: True,
        count=3,
        seed=0,
        on_trial=lambda spent, best: told.append((spent, best)),
    )
    spent = [0.0, *itertools.accumulate(trial.budget for trial in done)]
    assert [value for value, _ in told] == pytest.approx(spent)
    assert {best for _, best in told[:-1]} == {-math.inf}
    assert told[-1][1] == done[-1].score == total(done[-1].architecture)
