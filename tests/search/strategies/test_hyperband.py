"""Hyperband promotes by real scores; BOHB fills the brackets by a model of one budget."""

from __future__ import annotations

import random
import statistics

import optuna
import pytest

from fewshot_core.search.strategies import StrategyContext
from fewshot_core.search.strategies.bohb import BohbStrategy
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import (
    BudgetedRecordingEvaluator,
    Make,
    RecordingEvaluator,
    Score,
    from_plugin,
    search,
)
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(5, 5, 5, 5))
SHARES = (1 / 9, 1 / 3, 1.0)


class Misleading(BudgetedRecordingEvaluator):
    """With a part of the budget, what is bad looks good."""

    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> dict[str, float]:
        sign = 1 if budget == 1 else -1
        return {"score": sign * self._answer(architecture, budget)["score"]}


def best_of(make: Make, evaluator: type[RecordingEvaluator], score: Score) -> float:
    runs = [search(make, ROOT, evaluator(score), 30, seed=seed) for seed in range(8)]
    return statistics.fmean(max(t.score for t in run if t.budget == 1) for run in runs)


def test_low_budgets_decide_who_is_promoted() -> None:
    """Good advice helps and bad advice harms, at the same cost in evaluations."""
    hyperband = from_plugin("hyperband")
    advised = best_of(hyperband, BudgetedRecordingEvaluator, total)
    misled = best_of(hyperband, Misleading, total)
    plain = best_of(from_plugin("random"), RecordingEvaluator, total)
    assert advised > plain > misled


def test_with_one_budget_it_is_random_search() -> None:
    evaluator = RecordingEvaluator(total)
    done = search(from_plugin("hyperband"), ROOT, evaluator, 200)
    means = [statistics.fmean(t.score for t in done[i : i + 100]) for i in (0, 100)]
    assert all(abs(mean - 8) < 1 for mean in means)  # it learns nothing


def test_the_ladder_is_that_of_the_settings() -> None:
    settings = from_plugin("hyperband", eta=2, least=0.25)
    done = search(settings, ROOT, BudgetedRecordingEvaluator(total), 12)
    assert {trial.budget for trial in done} == {0.25, 0.5, 1.0}


# --- the model


class Noting(optuna.samplers.RandomSampler):
    """Notes the values of the trials that it can see."""

    def __init__(self, seen: list[list[float]], seed: int) -> None:
        super().__init__(seed=seed)
        self.seen = seen

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        complete = (optuna.trial.TrialState.COMPLETE,)
        self.seen.append([t.value for t in study.get_trials(states=complete)])


def bohb(seen: list[list[float]], random_share: float) -> BohbStrategy:
    return BohbStrategy(ROOT, SHARES, 3, lambda seed: Noting(seen, seed % 2**32), random_share)


def tell(strategy: BohbStrategy, budget: float, count: int, value: float) -> None:
    rng = random.Random(0)
    for number in range(count):
        model = strategy._models[budget]
        model.tell(Trial(number, ROOT.sample(rng), value, {}, budget))
        strategy._told[budget] += 1


def test_the_model_looks_at_the_highest_budget_with_enough_trials() -> None:
    seen: list[list[float]] = []
    strategy = bohb(seen, 0.0)
    tell(strategy, SHARES[0], 20, 1.0)
    strategy.draw(0)
    assert set(seen[-1]) == {1.0}
    tell(strategy, SHARES[1], 6, 2.0)
    strategy.draw(1)
    assert set(seen[-1]) == {1.0}  # four decisions: seven are enough
    tell(strategy, SHARES[1], 1, 2.0)
    strategy.draw(2)
    assert seen[-1] == [2.0] * 7
    tell(strategy, SHARES[2], 7, 3.0)
    strategy.draw(3)
    assert seen[-1] == [3.0] * 7


def test_a_share_is_drawn_at_random_all_the_same() -> None:
    seen: list[list[float]] = []
    strategy = bohb(seen, 0.25)
    tell(strategy, SHARES[2], 10, 3.0)
    for seed in range(400):
        strategy.draw(seed)
    assert 260 < len(seen) < 340


@pytest.mark.parametrize("budgets", [True, False])
def test_the_model_finds_more_than_hyperband(budgets: bool) -> None:
    kind = BudgetedRecordingEvaluator if budgets else RecordingEvaluator

    def mean(name: str) -> float:
        runs = [search(from_plugin(name), ROOT, kind(total), 60, seed=seed) for seed in range(5)]
        return statistics.fmean(t.score for run in runs for t in run[-40:] if t.budget == 1)

    assert mean("bohb") > mean("hyperband") + 1


def test_a_model_that_was_asked_in_vain_is_told_all_the_same() -> None:
    """It proposes for one budget, and the trial belongs to another."""
    strategy = from_plugin("bohb")(StrategyContext(ROOT, lambda a: True, total, True))
    rng = random.Random(0)
    for number in range(120):
        proposal = strategy.ask(number)
        instead = proposal.architecture if number % 3 else ROOT.sample(rng)
        strategy.tell(Trial(number, instead, total(instead), {}, proposal.budget))
    assert ROOT.contains(strategy.ask(0).architecture)
