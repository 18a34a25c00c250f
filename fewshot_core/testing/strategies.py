"""What every strategy has to do, seen through the search loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
import pytest

from fewshot_core.errors import ConstraintError
from fewshot_core.evaluators.base import BudgetedEvaluator
from fewshot_core.plugins import plugin
from fewshot_core.search.loop import run_search
from fewshot_core.search.strategies import Strategy, StrategyContext
from fewshot_core.search.trial import FULL, Trial, full
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.toys import total, toy_space

Score = Callable[[Architecture], float]

Make = Callable[[StrategyContext], Strategy]
"""Makes a strategy for one search."""


class Killed(BaseException):
    """Stands for the death of the process: nothing may catch it."""


class RecordingEvaluator:
    """Scores by a function, notes what it was asked, and dies where it is told to."""

    def __init__(self, score: Score, dies_at: int | None = None) -> None:
        self.score = score
        self.dies_at = dies_at
        self.asked: list[Architecture] = []
        self.budgets: list[float] = []

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        return self._answer(architecture, FULL)

    def _answer(self, architecture: Architecture, budget: float) -> Mapping[str, float]:
        if len(self.asked) == self.dies_at:
            raise Killed
        self.asked.append(architecture)
        self.budgets.append(budget)
        return {"score": self.score(architecture)}


class BudgetedRecordingEvaluator(RecordingEvaluator):
    """The same with budgets: the less is spent, the more a score says about the id instead."""

    def evaluate(self, architecture: Architecture, budget: float = FULL) -> Mapping[str, float]:
        exact = self._answer(architecture, budget)["score"]
        return {"score": budget * exact + (1 - budget) * int(architecture.id, 16) / 16**12}

    def price(self, budget: float) -> float:
        return budget


class StrategySuite:
    """Tests of a strategy: name its plug-in, or supply the fixture ``make``.

    ``region`` and ``score`` may be overridden; scores should differ between architectures.
    """

    plugin = ""
    """Name or dotted path of the plug-in under test, which has its default settings."""

    trials = 25
    """Length of a search in evaluations; longer than the strategy's random start."""

    budgets = False
    """Whether the evaluator takes budgets. A strategy that uses them should pass with and without;
    for one that does not, it makes no difference."""

    @pytest.fixture
    def make(self) -> Make:
        """Makes the strategy under test."""
        return from_plugin(self.plugin)

    @pytest.fixture
    def region(self) -> Region:
        """Where it searches: a part of a space, so that a strategy that leaves it is caught."""
        root = Region.root(toy_space(4, 4, 4, 2))
        return root.restrict("a", (1, 3)).restrict("d", (0,))

    @pytest.fixture
    def score(self) -> Score:
        """Higher is better; hardly two architectures have the same."""
        return lambda a: total(a) + int(a.id, 16) / 16**12

    def recorder(self, score: Score, dies_at: int | None = None) -> RecordingEvaluator:
        """An evaluator of the kind that the suite is about."""
        kind = BudgetedRecordingEvaluator if self.budgets else RecordingEvaluator
        return kind(score, dies_at)

    # -- tests -------------------------------------------------------------------------------

    def test_it_stays_in_the_region(self, make: Make, region: Region, score: Score) -> None:
        done = search(make, region, self.recorder(score), self.trials)
        lasts(done, self.trials)
        assert all(region.contains(trial.architecture) for trial in done)

    def test_it_stays_in_a_band(self, make: Make, score: Score) -> None:
        band = Region.root(toy_space(3, 3, 4)).band("sum", 2, 4)
        done = search(make, band, self.recorder(score), self.trials)
        lasts(done, self.trials)
        assert all(band.contains(trial.architecture) for trial in done)

    def test_infeasible_architectures_are_never_scored(
        self, make: Make, region: Region, score: Score
    ) -> None:
        # The best architectures are forbidden, so a strategy that learns runs into the limit.
        allowed = sorted(region.enumerate(), key=score)[: (region.size() or 0) // 4]
        evaluator = self.recorder(score)
        done = search(make, region, evaluator, self.trials, accepts=set(allowed).__contains__)
        lasts(done, self.trials)
        assert set(evaluator.asked) <= set(allowed)
        assert {trial.architecture for trial in done} <= set(allowed)

    def test_a_constraint_that_one_architecture_meets(
        self, make: Make, region: Region, score: Score
    ) -> None:
        only = max(region.enumerate(), key=score)
        evaluator = self.recorder(score)
        done = search(make, region, evaluator, 3, accepts=lambda a: a == only)
        lasts(done, 3)
        assert {trial.architecture for trial in done} == {only}
        once(evaluator)

    def test_a_constraint_that_nothing_meets_is_an_error(
        self, make: Make, region: Region, score: Score
    ) -> None:
        with pytest.raises(ConstraintError):
            search(make, region, self.recorder(score), 3, accepts=lambda a: False)

    def test_same_seed_same_trials(self, make: Make, region: Region, score: Score) -> None:
        def run(seed: int) -> list[Trial]:
            return search(make, region, self.recorder(score), self.trials, seed=seed)

        assert run(1) == run(1)
        assert run(1) != run(2)

    def test_a_search_that_is_cut_goes_on_as_if_it_were_not(
        self, make: Make, region: Region, score: Score
    ) -> None:
        whole = self.recorder(score)
        expected = search(make, region, whole, self.trials)
        for cut in (0, 1, len(whole.asked) // 2, len(whole.asked) - 1):
            study = new_study(directions_of(make))
            first = self.recorder(score, dies_at=cut)
            with pytest.raises(Killed):
                search(make, region, first, self.trials, study=study)
            second = self.recorder(score)
            assert search(make, region, second, self.trials, study=study) == expected
            assert first.asked + second.asked == whole.asked, f"cut at {cut}"

    def test_a_finished_search_asks_nothing(self, make: Make, region: Region, score: Score) -> None:
        study = new_study(directions_of(make))
        done = search(make, region, self.recorder(score), 5, study=study)
        again = self.recorder(score)
        assert search(make, region, again, 5, study=study) == done
        assert again.asked == []

    def test_no_architecture_is_scored_twice(self, make: Make, score: Score) -> None:
        # More trials than architectures, so the space is explored long before the end.
        region = Region.root(toy_space(2, 2))
        evaluator = self.recorder(score)
        done = search(make, region, evaluator, self.trials)
        lasts(done, self.trials)
        once(evaluator)
        assert all(trial.score == score(trial.architecture) for trial in full(done))

    def test_a_feasible_part_that_is_explored(
        self, make: Make, region: Region, score: Score
    ) -> None:
        allowed = sorted(region.enumerate(), key=score)[-3:]
        evaluator = self.recorder(score)
        done = search(make, region, evaluator, self.trials, accepts=set(allowed).__contains__)
        lasts(done, self.trials)
        once(evaluator)
        assert set(evaluator.asked) == set(allowed)

    def test_a_space_of_one_architecture(self, make: Make, score: Score) -> None:
        region = Region.root(toy_space(1, 1))
        done = search(make, region, self.recorder(score), self.trials)
        lasts(done, self.trials)
        assert {trial.architecture for trial in done} == set(region.enumerate())

    def test_one_evaluation(self, make: Make, region: Region, score: Score) -> None:
        """However short a search is, something has been scored with the whole budget."""
        evaluator = self.recorder(score)
        done = search(make, region, evaluator, 1)
        assert [trial.budget for trial in done].count(FULL) == 1
        assert done[-1].budget == FULL
        if not self.budgets:
            assert [trial.architecture for trial in done] == evaluator.asked


def lasts(done: Sequence[Trial], count: float) -> None:
    """Check that trials are worth so many evaluations, and that the last one was needed."""
    budgets = [trial.budget for trial in done]
    assert sum(budgets) >= count - 1e-6
    assert sum(budgets[:-1]) < count - 1e-6


def once(evaluator: RecordingEvaluator) -> None:
    """Check that an evaluator was asked nothing twice."""
    questions = list(zip(evaluator.asked, evaluator.budgets, strict=True))
    assert len(set(questions)) == len(questions)


def distinct_cost(architecture: Architecture) -> float:
    """What two-objective strategies minimise: about the sum of the choices, without ties."""
    return total(architecture) + int(architecture.id[::-1], 16) / 16**12


def from_plugin(name: str, **changes: Any) -> Make:
    """Makes the strategy of a plug-in with its default settings, some of them changed."""
    entry = plugin("strategy", name)
    settings = replace(entry.default(), **changes)
    return lambda context: entry.make(settings, context)


def directions_of(make: Make) -> tuple[str, ...]:
    """Directions of a strategy's study."""
    context = StrategyContext(Region.root(toy_space()), lambda a: True, distinct_cost)
    return make(context).directions


def new_study(directions: Sequence[str] = ("maximize",)) -> optuna.Study:
    """A study in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=list(directions))


def search(
    make: Make,
    region: Region,
    evaluator: object,
    count: float,
    *,
    accepts: Callable[[Architecture], bool] = lambda architecture: True,
    seed: int = 0,
    study: optuna.Study | None = None,
) -> list[Trial]:
    """Run the search loop with a strategy."""
    budgets = isinstance(evaluator, BudgetedEvaluator)
    strategy = make(StrategyContext(region, accepts, distinct_cost, budgets))
    study = study or new_study(strategy.directions)
    return run_search(study, region, strategy, evaluator, accepts, count=count, seed=seed)  # type: ignore[arg-type]
