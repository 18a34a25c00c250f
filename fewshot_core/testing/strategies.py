"""What every strategy has to do, seen through the search loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import optuna
import pytest

from fewshot_core.errors import ConstraintError
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.region import Region
from fewshot_core.search import Trial, run_search
from fewshot_core.space import Architecture
from fewshot_core.strategies import make_sampler_factory
from fewshot_core.testing.toys import total, toy_space


class Killed(BaseException):
    """Stands for the death of the process: nothing may catch it."""


class RecordingEvaluator:
    """Scores by a function, notes what it was asked, and dies where it is told to."""

    def __init__(self, score: Callable[[Architecture], float], dies_at: int | None = None) -> None:
        self.score = score
        self.dies_at = dies_at
        self.asked: list[Architecture] = []

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        if len(self.asked) == self.dies_at:
            raise Killed
        self.asked.append(architecture)
        return {"score": self.score(architecture)}


class StrategySuite:
    """Tests of a strategy; supply the fixture ``settings``, which names it.

    ``region`` and ``score`` may be overridden; scores should differ between architectures.
    """

    trials = 25
    """Length of a search; longer than the strategy's random start."""

    @pytest.fixture
    def settings(self) -> StrategySettings:
        """Settings of the strategy under test."""
        raise NotImplementedError("a subclass supplies the fixture `settings`")

    @pytest.fixture
    def region(self) -> Region:
        """Where it searches: a part of a space, so that a strategy that leaves it is caught."""
        root = Region.root(toy_space(4, 4, 4, 2))
        return root.restrict("a", (1, 3)).restrict("d", (0,))

    @pytest.fixture
    def score(self) -> Callable[[Architecture], float]:
        """Higher is better; hardly two architectures have the same."""
        return lambda a: total(a) + int(a.id, 16) / 16**12

    # -- tests -------------------------------------------------------------------------------

    def test_it_stays_in_the_region(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        done = search(settings, region, RecordingEvaluator(score), self.trials)
        assert len(done) == self.trials
        assert all(region.contains(trial.architecture) for trial in done)

    def test_it_stays_in_a_band(self, settings: StrategySettings, score: Callable) -> None:
        band = Region.root(toy_space(3, 3, 4)).band("sum", 2, 4)
        done = search(settings, band, RecordingEvaluator(score), self.trials)
        assert len(done) == self.trials
        assert all(band.contains(trial.architecture) for trial in done)

    def test_infeasible_architectures_are_never_scored(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        # The best architectures are forbidden, so a strategy that learns runs into the limit.
        allowed = sorted(region.enumerate(), key=score)[: (region.size() or 0) // 4]
        evaluator = RecordingEvaluator(score)
        done = search(settings, region, evaluator, self.trials, accepts=set(allowed).__contains__)
        assert len(done) == self.trials
        assert set(evaluator.asked) <= set(allowed)
        assert {trial.architecture for trial in done} <= set(allowed)

    def test_a_constraint_that_one_architecture_meets(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        only = max(region.enumerate(), key=score)
        evaluator = RecordingEvaluator(score)
        done = search(settings, region, evaluator, 3, accepts=lambda a: a == only)
        assert [trial.architecture for trial in done] == [only] * 3
        assert evaluator.asked == [only]

    def test_a_constraint_that_nothing_meets_is_an_error(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        with pytest.raises(ConstraintError):
            search(settings, region, RecordingEvaluator(score), 3, accepts=lambda a: False)

    def test_same_seed_same_trials(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        def run(seed: int) -> list[Trial]:
            return search(settings, region, RecordingEvaluator(score), self.trials, seed=seed)

        assert run(1) == run(1)
        assert run(1) != run(2)

    def test_a_search_that_is_cut_goes_on_as_if_it_were_not(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        whole = RecordingEvaluator(score)
        expected = search(settings, region, whole, self.trials)
        for cut in (0, 1, len(whole.asked) // 2, len(whole.asked) - 1):
            study = new_study()
            first = RecordingEvaluator(score, dies_at=cut)
            with pytest.raises(Killed):
                search(settings, region, first, self.trials, study=study)
            second = RecordingEvaluator(score)
            assert search(settings, region, second, self.trials, study=study) == expected
            assert first.asked + second.asked == whole.asked, f"cut at {cut}"

    def test_a_finished_search_asks_nothing(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        study = new_study()
        done = search(settings, region, RecordingEvaluator(score), 5, study=study)
        again = RecordingEvaluator(score)
        assert search(settings, region, again, 5, study=study) == done
        assert again.asked == []

    def test_no_architecture_is_scored_twice(
        self, settings: StrategySettings, score: Callable[[Architecture], float]
    ) -> None:
        # More trials than architectures, so repetitions are certain.
        region = Region.root(toy_space(2, 2))
        evaluator = RecordingEvaluator(score)
        done = search(settings, region, evaluator, self.trials)
        assert len(done) == self.trials
        assert len(set(evaluator.asked)) == len(evaluator.asked)
        assert all(trial.score == score(trial.architecture) for trial in done)

    def test_a_space_of_one_architecture(
        self, settings: StrategySettings, score: Callable[[Architecture], float]
    ) -> None:
        region = Region.root(toy_space(1, 1))
        done = search(settings, region, RecordingEvaluator(score), self.trials)
        assert [trial.architecture for trial in done] == list(region.enumerate()) * self.trials

    def test_a_budget_of_one(
        self, settings: StrategySettings, region: Region, score: Callable[[Architecture], float]
    ) -> None:
        evaluator = RecordingEvaluator(score)
        done = search(settings, region, evaluator, 1)
        assert [trial.architecture for trial in done] == evaluator.asked
        assert len(done) == 1


def new_study() -> optuna.Study:
    """A study in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize")


def search(
    settings: StrategySettings,
    region: Region,
    evaluator: RecordingEvaluator,
    count: int,
    *,
    accepts: Callable[[Architecture], bool] = lambda architecture: True,
    seed: int = 0,
    study: optuna.Study | None = None,
) -> list[Trial]:
    """Run the search loop with a strategy."""
    factory = make_sampler_factory(settings, region, accepts)
    study = study or new_study()
    return run_search(study, region, factory, evaluator, accepts, count=count, seed=seed)
