from __future__ import annotations

import random
from collections import Counter

import optuna
import pytest

from fewshot_core.search.loop import run_search
from fewshot_core.search.samplers import EvolutionSampler
from fewshot_core.search.strategies import StrategyContext
from fewshot_core.search.study import keep
from fewshot_core.search.trial import Trial
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import Make, RecordingEvaluator, from_plugin, new_study, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(5, 5, 5, 5))


def score(architecture: Architecture) -> float:
    return total(architecture) + int(architecture.id, 16) / 16**12


def reference(population: int, sample: int, count: int, seed: int) -> list[Architecture]:
    """Algorithm 1 of Real et al. (2019), written as in the paper: a queue, oldest out."""
    queue: list[Architecture] = []
    history: list[Architecture] = []
    while len(history) < count:
        rng = random.Random(derive_seed(seed, "ask", len(history), 0))
        if len(history) < population:
            child = ROOT.sample(rng)
        else:
            child = ROOT.mutate(max(rng.sample(queue, sample), key=score), rng)
        queue.append(child)
        history.append(child)
        if len(queue) > population:
            queue.pop(0)
    return history


@pytest.mark.parametrize(("population", "sample"), [(8, 3), (4, 4), (10, 1)])
def test_evolution_is_the_papers_algorithm(population: int, sample: int) -> None:
    settings = from_plugin("rea", population=population, sample=sample)
    done = search(settings, ROOT, RecordingEvaluator(score), 50, seed=3)
    assert [trial.architecture for trial in done] == reference(population, sample, 50, seed=3)


def history(count: int, values: list[float], direction: str = "maximize") -> optuna.Study:
    """A study of which the sampler is asked for the next trial."""
    study = new_study((direction,))
    architectures = random.Random(0).sample(list(ROOT.enumerate()), count)
    for number, (architecture, value) in enumerate(zip(architectures, values, strict=True)):
        keep(study, ROOT, Trial(number, architecture, value, {}), [value])
    return study


def parents_of(study: optuna.Study, population: int, sample: int) -> Counter[int]:
    """Which trials become parents, over many seeds, told by their one differing decision."""
    counts: Counter[int] = Counter()
    alive = [ROOT.space.architecture(trial.params) for trial in study.trials]
    for seed in range(200):
        sampler = EvolutionSampler(ROOT, population=population, sample=sample, seed=seed)
        child = ROOT.space.architecture(sampler.sample_relative(study, None, {}))  # type: ignore[arg-type]
        for number, parent in enumerate(alive):
            differing = sum(a != b for a, b in zip(parent.choices, child.choices, strict=True))
            counts[number] += differing == 1
    return counts


def test_the_oldest_dies_however_good_it_is() -> None:
    counts = parents_of(history(6, [99, 1, 2, 3, 4, 5]), population=5, sample=5)
    assert counts[5] == 200
    assert counts[0] < 20  # only where it happens to be a neighbour of the child


def test_the_best_of_the_tournament_wins() -> None:
    """The best of five is among two drawn with probability 2/5, the worst never wins."""
    counts = parents_of(history(5, [5, 4, 3, 2, 1]), population=5, sample=2)
    assert 55 < counts[0] < 110
    assert counts[4] < 20
    assert counts[0] > counts[1] > counts[2]


def test_a_study_that_minimises_prefers_the_lowest() -> None:
    study = history(5, [5, 4, 3, 2, 1], "minimize")
    counts = parents_of(study, population=5, sample=5)
    assert counts[4] == 200


def test_evolution_finds_more_than_random() -> None:
    def best(make: Make) -> float:
        runs = [search(make, ROOT, RecordingEvaluator(total), 60, seed=seed) for seed in range(4)]
        return sum(max(trial.score for trial in run) for run in runs)

    evolution = best(from_plugin("rea", population=10, sample=5))
    assert evolution > best(from_plugin("random"))


def test_children_satisfy_the_constraint_without_being_refused() -> None:
    refused = Counter[bool]()

    def accepts(architecture: Architecture) -> bool:
        return total(architecture) <= 8

    def counting(architecture: Architecture) -> bool:
        refused[accepts(architecture)] += 1
        return accepts(architecture)

    strategy = from_plugin("rea", population=5, sample=3)(StrategyContext(ROOT, accepts, total))
    evaluator = RecordingEvaluator(score)
    run_search(new_study(), ROOT, strategy, evaluator, counting, count=40, seed=0)
    assert refused[False] < 12  # from the random start alone, where about every second one is


def test_the_sampler_serves_optuna_without_the_rest() -> None:
    """It reads what is there and learns from what follows, in `optimize` as in our loop."""

    def objective(trial: optuna.Trial) -> float:
        choices = {name: trial.suggest_categorical(name, range(5)) for name in "abcd"}
        return float(sum(choices.values()))

    study = new_study()
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(objective, n_trials=10)
    study.sampler = EvolutionSampler(ROOT, population=10, sample=5, seed=0)
    study.optimize(objective, n_trials=60)
    early, late = study.trials[:10], study.trials[-10:]
    assert min(t.value or 0 for t in late) > sum(t.value or 0 for t in early) / 10


def test_a_trial_that_was_enqueued_is_learnt_once() -> None:
    """Optuna hands it over before the sampler has been asked anything."""
    study = new_study()
    study.sampler = sampler = EvolutionSampler(ROOT, population=10, sample=5, seed=0)
    study.enqueue_trial(dict.fromkeys("abcd", 1))

    def objective(trial: optuna.Trial) -> float:
        return float(sum(trial.suggest_categorical(name, range(5)) for name in "abcd"))

    study.optimize(objective, n_trials=3)
    assert [value for _, value in sampler.alive] == [trial.value for trial in study.trials]
