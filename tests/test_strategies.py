from __future__ import annotations

import random
from collections import Counter

import optuna
import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.region import Region
from fewshot_core.search import Trial, run_search
from fewshot_core.seeds import derive_seed
from fewshot_core.space import Architecture
from fewshot_core.strategies import STRATEGIES, EvolutionSampler, make_sampler_factory
from fewshot_core.testing.strategies import RecordingEvaluator, StrategySuite, new_study, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space(5, 5, 5, 5))


class TestRandom(StrategySuite):
    @pytest.fixture
    def settings(self) -> StrategySettings:
        return StrategySettings("random")


class TestEvolution(StrategySuite):
    @pytest.fixture
    def settings(self) -> StrategySettings:
        return StrategySettings("evolution", population=6, sample=3)


class TestEvolutionOfOne(StrategySuite):
    """The least that the recipe allows: the child of the last, always."""

    @pytest.fixture
    def settings(self) -> StrategySettings:
        return StrategySettings("evolution", population=1, sample=1)


class TestTpe(StrategySuite):
    trials = 16  # its model takes over after ten

    @pytest.fixture
    def settings(self) -> StrategySettings:
        return StrategySettings("tpe")


def test_every_strategy_of_the_list_can_be_made() -> None:
    for name in STRATEGIES:
        factory = make_sampler_factory(StrategySettings(name), ROOT, lambda a: True)
        assert isinstance(factory(2**63 - 1), optuna.samplers.BaseSampler)


def test_an_unknown_strategy_names_the_near_one() -> None:
    with pytest.raises(RecipeError, match=r"'evolutoin'.*did you mean 'evolution'"):
        make_sampler_factory(StrategySettings("evolutoin"), ROOT, lambda a: True)


# --- regularized evolution


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
    settings = StrategySettings("evolution", population=population, sample=sample)
    done = search(settings, ROOT, RecordingEvaluator(score), 50, seed=3)
    assert [trial.architecture for trial in done] == reference(population, sample, 50, seed=3)


def history(count: int, values: list[float]) -> optuna.Study:
    """A study of which the sampler is asked for the next trial."""
    study = new_study()
    space = ROOT.space
    architectures = random.Random(0).sample(list(ROOT.enumerate()), count)
    for architecture, value in zip(architectures, values, strict=True):
        study.enqueue_trial(space.choices(architecture))
        handle = study.ask(
            EvolutionSampler(
                ROOT, random.Random(0), population=1, sample=1
            ).infer_relative_search_space(study, None)
        )  # type: ignore[arg-type]
        study.tell(handle, value)
    return study


def parents_of(study: optuna.Study, population: int, sample: int) -> Counter[int]:
    """Which trials become parents, over many seeds, told by their one differing decision."""
    counts: Counter[int] = Counter()
    alive = [ROOT.space.architecture(trial.params) for trial in study.trials]
    for seed in range(200):
        sampler = EvolutionSampler(ROOT, random.Random(seed), population=population, sample=sample)
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
    study = optuna.create_study(direction="minimize")
    for trial in history(5, [5, 4, 3, 2, 1]).trials:
        study.add_trial(trial)
    counts = parents_of(study, population=5, sample=5)
    assert counts[4] == 200


def test_evolution_finds_more_than_random() -> None:
    def best(settings: StrategySettings) -> float:
        runs = [
            search(settings, ROOT, RecordingEvaluator(total), 60, seed=seed) for seed in range(4)
        ]
        return sum(max(trial.score for trial in run) for run in runs)

    evolution = best(StrategySettings("evolution", population=10, sample=5))
    assert evolution > best(StrategySettings("random"))


def test_children_satisfy_the_constraint_without_being_refused() -> None:
    study = new_study()
    settings = StrategySettings("evolution", population=5, sample=3)

    def accepts(architecture: Architecture) -> bool:
        return total(architecture) <= 8

    factory = make_sampler_factory(settings, ROOT, accepts)
    done: list[Trial] = run_search(
        study, ROOT, factory, RecordingEvaluator(score), accepts, count=40, seed=0
    )
    refused = len(study.trials) - len(done)
    assert refused < 12  # from the random start alone, where about every second one is
