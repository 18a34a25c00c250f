"""Optuna's samplers as strategies: what they see, and that a copy made anew sees the same."""

from __future__ import annotations

import random
import statistics
from typing import Any

import optuna
from optuna.trial import TrialState

from fewshot_core.search.loop import run_search
from fewshot_core.search.samplers import SampledStrategy
from fewshot_core.search.samplers.nsga2 import make_nsga2_sampler
from fewshot_core.search.strategies import StrategyContext
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import RecordingEvaluator, from_plugin, new_study, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(5, 5, 5, 5))


class Watching(optuna.samplers.RandomSampler):
    """Notes the completed trials that it can see when it is asked."""

    def __init__(self, seen: list[list[dict]], seed: int) -> None:
        super().__init__(seed=seed)
        self.seen = seen

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        complete = study.get_trials(states=(TrialState.COMPLETE,))
        self.seen.append([{**t.params, "value": t.value} for t in complete])


def row(architecture: Architecture, value: float) -> dict:
    return {**ROOT.space.choices(architecture), "value": value}


def test_a_sampler_sees_what_was_scored_and_nothing_else() -> None:
    seen: list[list[dict]] = []
    strategy = SampledStrategy(ROOT, lambda seed: Watching(seen, seed))
    told: list[dict] = []
    for number in range(6):
        strategy.ask(2 * number)
        proposal = strategy.ask(2 * number + 1)  # the first one was infeasible
        assert seen[-1] == told
        # Every second time something else is scored.
        scored = proposal.architecture if number % 2 else ROOT.sample(random.Random(number))
        strategy.tell(Trial(number, scored, float(number), {}))
        told.append(row(scored, float(number)))


def test_a_copy_that_is_told_the_trials_sees_them() -> None:
    seen: list[list[dict]] = []
    strategy = SampledStrategy(ROOT, lambda seed: Watching(seen, seed))
    scored = [ROOT.sample(random.Random(number)) for number in range(4)]
    for number, architecture in enumerate(scored):
        strategy.tell(Trial(number, architecture, float(number), {}))
    strategy.ask(0)
    assert seen == [[row(a, float(i)) for i, a in enumerate(scored)]]


# --- TPE


def test_tpe_finds_more_than_random() -> None:
    def mean(name: str) -> float:
        runs = [
            search(from_plugin(name), ROOT, RecordingEvaluator(total), 50, seed=seed)
            for seed in range(4)
        ]
        return statistics.fmean(max(t.score for t in run) for run in runs)

    assert mean("tpe") > mean("random") + 1


# --- NSGA-II


def values(done: list[Trial]) -> list[tuple[float, float]]:
    return [(trial.score, conflicting(trial.architecture)) for trial in done]


def conflicting(architecture: Architecture) -> float:
    """A cost that every gain of :func:`total` raises, and the last decision most of all."""
    return total(architecture) + 3 * float(architecture.choices[3])


def covered(points: list[tuple[float, float]]) -> float:
    """The area of score and cost that the points dominate: the hypervolume up to cost 30."""
    area, best = 0.0, 0.0
    steps = sorted(points, key=lambda point: (point[1], -point[0]))
    for (score, cost), (_, following) in zip(steps, [*steps[1:], (0.0, 30.0)], strict=True):
        best = max(best, score)
        area += best * (following - cost)
    return area


def nsga(seed: int, name: str = "nsga2") -> list[Trial]:
    more = {"population": 10} if name == "nsga2" else {}
    strategy = from_plugin(name, **more)(StrategyContext(ROOT, lambda a: True, conflicting))
    evaluator = RecordingEvaluator(total)
    study = new_study(strategy.directions)
    return run_search(study, ROOT, strategy, evaluator, lambda a: True, count=100, seed=seed)


def test_nsga2_finds_a_better_front_than_random() -> None:
    ours = statistics.fmean(covered(values(nsga(seed))) for seed in range(4))
    assert ours > statistics.fmean(covered(values(nsga(seed, "random"))) for seed in range(4))


def test_the_study_of_two_objectives_keeps_both() -> None:
    strategy = from_plugin("nsga2")(StrategyContext(ROOT, lambda a: True, conflicting))
    trial = Trial(0, Architecture(ROOT.space.name, (1, 2, 3, 4)), 7.0, {})
    assert strategy.directions == ("maximize", "minimize")
    assert strategy.values(trial) == [7.0, 22.0]


def parents(asked: int) -> tuple[list[dict], list[dict]]:
    """Parents of the third generation, of a sampler that saw all of it and of a new one."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    space = {name: optuna.distributions.CategoricalDistribution(range(5)) for name in "abcd"}
    make, rng = make_nsga2_sampler(ROOT, population=4), random.Random(0)
    for number in range(12):
        study.sampler = make(number)
        for _ in range(asked):
            study.tell(study.ask(space), state=TrialState.FAIL)
        one = ROOT.sample(rng)
        choices, both = ROOT.space.choices(one), [total(one), conflicting(one)]
        study.add_trial(optuna.trial.create_trial(params=choices, distributions=space, values=both))
    samplers: list[Any] = [make(0), make_nsga2_sampler(ROOT, population=4)(0)]
    both_kinds = [[t.params for t in s.get_parent_population(study, 3)] for s in samplers]
    return both_kinds[0], both_kinds[1]


def test_parents_depend_on_the_completed_trials_alone() -> None:
    """Not on what was asked in vain, nor on whether they were chosen before."""
    watched, fresh = parents(0)
    assert len(watched) == 4
    assert watched == fresh
    assert parents(3) == (watched, fresh)
