"""Several workers on one study, in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from fewshot_core.errors import RunFolderError
from fewshot_core.search.loop import run_search
from fewshot_core.search.shared_study import RETRIES, SharedLedger, make_shared_storage
from fewshot_core.search.strategies import StrategyContext
from fewshot_core.search.strategies.base import Strategy
from fewshot_core.search.study import open_study
from fewshot_core.search.trial import Proposal, Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import from_plugin
from fewshot_core.testing.toys import toy_space
from tests.shared import postgresql
from tests.tools.process import Running, succeed, words_of
from tests.tools.tiny import TINY

ROOT = Region.root(toy_space(3, 4))
SILENCE = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgresql(tmp_path_factory.mktemp("postgresql")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'study.db'}"
    found: str = request.getfixturevalue("server")
    return found


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of a study that no other test uses."""
    return f"{request.node.name} {time.time()}"


def ledger(url: str, name: str, worker: str) -> SharedLedger:
    study = open_study(make_shared_storage(url, SILENCE), name)
    return SharedLedger(study, ROOT, worker, SILENCE)


def states(url: str, name: str) -> list[str]:
    return sorted(
        trial.state.name for trial in optuna.load_study(storage=url, study_name=name).trials
    )


def proposal(number: int, worker: str | None = None) -> Proposal:
    return Proposal(next(a for i, a in enumerate(ROOT.enumerate()) if i == number))


def finish(one: SharedLedger, asked: Proposal, score: float) -> None:
    trial = Trial(0, asked.architecture, score, {"score": score}, asked.budget)
    one.complete(trial, [score], datetime.now())


class Scores:
    def __init__(self) -> None:
        self.asked: list[Architecture] = []

    def evaluate(self, architecture: Architecture) -> dict[str, float]:
        self.asked.append(architecture)
        return {"score": float(sum(map(int, map(str, architecture.choices))))}


def strategy() -> Strategy:
    settings = from_plugin("rea", population=4, sample=2)
    return settings(StrategyContext(ROOT, lambda a: True, lambda a: 0.0))


def search(one: SharedLedger, scores: Scores, count: int = 12) -> list[Trial]:
    study = one._study
    return run_search(
        study, ROOT, strategy(), scores, lambda a: True, count=count, seed=3, ledger=one
    )


def test_alone_it_is_the_search_of_a_journal(url: str, name: str, tmp_path: Path) -> None:
    shared = search(ledger(url, name, "a"), Scores())
    journal = open_study(tmp_path / "study.log", "search")
    own = run_search(journal, ROOT, strategy(), Scores(), lambda a: True, count=12, seed=3)
    assert shared == own
    assert states(url, name) == ["COMPLETE"] * 12


def test_what_a_worker_had_claimed_it_takes_up_again(url: str, name: str) -> None:
    first = ledger(url, name, "a")
    asked = first.claim(proposal)
    again = ledger(url, name, "a")
    assert again.pending() == [1.0]
    assert again.has_own_work()
    assert again.claim(proposal) == asked  # at once, without waiting for silence
    finish(again, asked, 1.0)
    assert states(url, name) == ["COMPLETE"]


def test_each_learns_what_the_other_finds(url: str, name: str) -> None:
    one, other = ledger(url, name, "a"), ledger(url, name, "b")
    assert one.news() == other.news() == []
    mine, theirs = one.claim(proposal), other.claim(proposal)
    assert mine != theirs  # they ask by the number of claims, not of results
    finish(one, mine, 5.0)
    assert [trial.score for trial in other.news()] == [5.0]
    assert other.news() == one.news() == []
    assert other.pending() == [1.0]
    assert not one.has_own_work()


def test_the_trial_of_a_silent_worker_is_handed_on(url: str, name: str) -> None:
    dead, alive = ledger(url, name, "dead"), ledger(url, name, "alive")
    asked = dead.claim(proposal)
    assert not alive.has_own_work()
    began = time.monotonic()
    while not alive.has_own_work():
        alive.news()
        assert time.monotonic() - began < 10 * SILENCE
        time.sleep(0.1)
    assert alive.claim(proposal) == asked
    finish(alive, asked, 2.0)
    assert states(url, name) == ["COMPLETE", "FAIL"]
    assert [trial.score for trial in alive.all()] == [2.0]
    assert alive.pending() == []
    # The dead one was only slow. What it brings comes too late, and does no harm.
    finish(dead, asked, 3.0)
    assert [trial.score for trial in alive.all()] == [2.0]


def test_a_worker_that_lives_keeps_its_trial(url: str, name: str) -> None:
    slow, other = ledger(url, name, "slow"), ledger(url, name, "other")
    asked = slow.claim(proposal)
    with slow.at_work():
        end = time.monotonic() + 2 * SILENCE
        while time.monotonic() < end:
            other.news()
            assert not other.has_own_work()
            time.sleep(0.2)
    finish(slow, asked, 1.0)
    assert states(url, name) == ["COMPLETE"]


def test_a_trial_that_ends_every_worker_is_given_up(url: str, name: str) -> None:
    from fewshot_core.search.shared_study import _hand_on

    one = ledger(url, name, "a")
    one.claim(proposal)
    for _ in range(RETRIES + 1):
        (trial,) = one._trials_of(TrialState.RUNNING)
        one._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        _hand_on(one._study, trial)
        if one.has_own_work():
            one.claim(proposal)
    assert states(url, name) == ["FAIL"] * (RETRIES + 1)
    assert one.pending() == []


def test_a_claim_without_a_sign_of_life_is_ended(url: str, name: str) -> None:
    """Its worker died between the claim and the first sign."""
    dead, alive = ledger(url, name, "dead"), ledger(url, name, "alive")
    dead._sign = lambda trial_id: None  # type: ignore[method-assign]
    dead._silence = alive._silence = 0.1
    asked = dead.claim(proposal)
    time.sleep(0.6)
    assert alive.has_own_work()
    assert alive.claim(proposal) == asked


def test_a_database_that_is_not_there_is_one_line_without_its_password(tmp_path: Path) -> None:
    words = words_of(SETTINGS, run="run", **{"search.storage": "sqlite:////none/there/study.db"})
    done = Running("search", words, tmp_path).wait()
    assert done.code == 2
    assert done.err.count("\n") == 1
    with pytest.raises(RunFolderError) as caught:
        open_study("postgresql+psycopg://me:secret@127.0.0.1:1/x", "name")
    assert "secret" not in str(caught.value).split("|")[0]


# --- launches

SETTINGS = TINY | {
    "evaluator": "synflow",
    "strategy": "random",
    "audit.networks": 0,
    "search.trials": 30,
    "search.silence": SILENCE,
}


def test_one_of_three_launches_dies(url: str, tmp_path: Path) -> None:
    from tests.faults.moments import watch

    words = words_of(SETTINGS | {"search.storage": url, "seed": len(url)})
    launches = [
        Running("search", [*words, f"run={run}"], tmp_path, prepare=watch, arguments=fault)
        for run, fault in (("a", (None, 9, "kill")), ("b", ()), ("c", ()))
        for fault in [fault or (None,)]
    ]
    done = [one.wait() for one in launches]
    assert [one.code for one in done] == [-9, 0, 0], [one.err for one in done]
    summaries = optuna.get_all_study_summaries(url)
    (study,) = [s for s in summaries if s.study_name.startswith("digits-") and s.n_trials >= 30]
    trials = optuna.load_study(storage=url, study_name=study.study_name).trials
    ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    # Two that look at the same moment may both claim the last one.
    assert 30 <= len(ended) <= 32
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    lost = [trial.params for trial in trials if trial.state == TrialState.FAIL]
    assert all(params in [trial.params for trial in ended] for params in lost)
    assert len({trial.user_attrs["worker"] for trial in ended}) >= 2
    # Whoever comes later finds everything done.
    again = succeed("search", [*words, "run=a"], tmp_path)
    assert f"best of {len(ended)} trials" in again.out
    files = [(tmp_path / run / "trials.csv").read_text().splitlines() for run in "abc"]
    assert len(files[0]) == len(ended) + 1
    # One that ended first has not seen a last trial that was claimed twice.
    for file in files[1:]:
        assert len(file) > 30
        assert file == files[0][: len(file)]
