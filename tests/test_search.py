from __future__ import annotations

import itertools
import math
import random
import sqlite3
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from fewshot_core import search as search_module
from fewshot_core.errors import ConstraintError, RunFolderError
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.region import Region
from fewshot_core.search import (
    Trial,
    best_trial,
    open_study,
    run_search,
    sample_feasible,
    trials,
)
from fewshot_core.space import Architecture
from fewshot_core.strategies import make_sampler_factory
from fewshot_core.testing.strategies import Killed, RecordingEvaluator, new_study, search
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space())
HUGE = Region.root(toy_space(*[7] * 40))
SETTINGS = StrategySettings("evolution", population=5, sample=2)


def storage(path: Path) -> str:
    return f"sqlite:///{path / 'study.db'}"


# --- the study


def test_a_search_goes_on_from_the_database(tmp_path: Path) -> None:
    whole = search(SETTINGS, ROOT, RecordingEvaluator(total), 12)
    dying = RecordingEvaluator(total, dies_at=6)
    with pytest.raises(Killed):
        search(SETTINGS, ROOT, dying, 12, study=open_study(storage(tmp_path), "s"))
    reopened = open_study(storage(tmp_path), "s")
    assert [t.state for t in reopened.trials].count(TrialState.RUNNING) == 1
    assert search(SETTINGS, ROOT, RecordingEvaluator(total), 12, study=reopened) == whole
    assert trials(open_study(storage(tmp_path), "s"), ROOT) == whole


def test_a_search_can_be_made_longer() -> None:
    study = new_study()
    short = search(SETTINGS, ROOT, RecordingEvaluator(total), 6, study=study)
    longer = search(SETTINGS, ROOT, RecordingEvaluator(total), 12, study=study)
    assert longer[:6] == short
    assert longer == search(SETTINGS, ROOT, RecordingEvaluator(total), 12)


def test_dying_between_the_draw_and_the_question_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The architecture drawn for a constraint waits in the study when the process dies there."""
    only = Architecture(ROOT.space.name, (2, 2, 3))
    study, real = new_study(), optuna.Study.enqueue_trial

    def enqueue_and_die(self: optuna.Study, params: dict) -> None:
        real(self, params)
        raise Killed

    monkeypatch.setattr(optuna.Study, "enqueue_trial", enqueue_and_die)
    monkeypatch.setattr(search_module, "PROPOSALS", 0)
    random_search = StrategySettings("random")
    with pytest.raises(Killed):
        search(random_search, ROOT, RecordingEvaluator(total), 2, accepts=only.__eq__, study=study)
    monkeypatch.undo()
    evaluator = RecordingEvaluator(total)
    done = search(random_search, ROOT, evaluator, 2, accepts=only.__eq__, study=study)
    assert [trial.architecture for trial in done] == [only, only]


@pytest.mark.parametrize("damage", ["text", "folder", "scheme"])
def test_a_study_that_cannot_be_opened_is_an_error(damage: str, tmp_path: Path) -> None:
    url = storage(tmp_path)
    if damage == "text":
        (tmp_path / "study.db").write_text("this is no database, and long enough to tell" * 50)
    elif damage == "folder":
        url = storage(tmp_path / "missing")
    else:
        url = "nothing://here"
    with pytest.raises(RunFolderError, match="cannot be opened") as caught:
        open_study(url, "s")
    assert "\n" not in str(caught.value)


def test_a_damaged_study_leaves_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(RunFolderError):
        open_study(storage(tmp_path), "s")
    assert path.read_bytes() == b"x" * 5000


def test_the_study_is_an_ordinary_database(tmp_path: Path) -> None:
    search(SETTINGS, ROOT, RecordingEvaluator(total), 3, study=open_study(storage(tmp_path), "s"))
    with sqlite3.connect(tmp_path / "study.db") as database:
        (count,) = database.execute("select count(*) from trials").fetchone()
    assert count == 3


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
    factory = make_sampler_factory(StrategySettings("random"), region, lambda a: True)
    done = run_search(study, region, factory, evaluator, lambda a: True, count=30, seed=0)
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
    assert best_trial(done).score == max(
        total(t.architecture) for t in done if not total(t.architecture) % 2
    )


def test_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    factory = make_sampler_factory(SETTINGS, ROOT, lambda a: True)
    done = run_search(
        new_study(),
        ROOT,
        factory,
        RecordingEvaluator(total),
        lambda a: True,
        count=8,
        seed=0,
        on_trial=lambda count, best: told.append((count, best)),
    )
    best = list(itertools.accumulate((trial.score for trial in done), max))
    assert told == list(enumerate([-math.inf, *best]))


def test_the_best_is_the_first_of_the_highest() -> None:
    done = [
        Trial(number, Architecture("s", (number,)), score, {})
        for number, score in enumerate([1.0, 3.0, 2.0, 3.0])
    ]
    assert best_trial(done).number == 1


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
        StrategySettings("random"),
        ROOT,
        RecordingEvaluator(total),
        10,
        accepts=lambda a: total(a) < 3,
        study=study,
    )
    states = Counter(trial.state for trial in study.trials)
    assert len(done) == states[TrialState.COMPLETE] == 10
    assert states[TrialState.FAIL] > 0
