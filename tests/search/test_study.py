"""The study: what it keeps and where, and what a dead process or a damaged file makes of it."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import pytest
from optuna.trial import TrialState

from fewshot_core.errors import RunFolderError
from fewshot_core.search.study import keep, open_study, trials
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.testing.strategies import (
    BudgetedRecordingEvaluator,
    Killed,
    RecordingEvaluator,
    from_plugin,
    new_study,
    search,
)
from fewshot_core.testing.toys import total, toy_space

ROOT = Region.root(toy_space())
SETTINGS = from_plugin("rea", population=5, sample=2)
PLACES = ("study.log", "url")


def place_in(folder: Path, name: str) -> str | Path:
    """A journal, or a URL."""
    return f"sqlite:///{folder / 'any.db'}" if name == "url" else folder / name


@pytest.mark.parametrize("name", PLACES)
def test_a_search_goes_on_from_the_file(name: str, tmp_path: Path) -> None:
    place = place_in(tmp_path, name)
    whole = search(SETTINGS, ROOT, RecordingEvaluator(total), 12)
    dying = RecordingEvaluator(total, dies_at=6)
    with pytest.raises(Killed):
        search(SETTINGS, ROOT, dying, 12, study=open_study(place, "s"))
    reopened = open_study(place, "s")
    assert {trial.state for trial in reopened.trials} == {TrialState.COMPLETE}
    assert search(SETTINGS, ROOT, RecordingEvaluator(total), 12, study=reopened) == whole
    assert trials(open_study(place, "s"), ROOT) == whole


def test_a_search_can_be_made_longer() -> None:
    study = new_study()
    short = search(SETTINGS, ROOT, RecordingEvaluator(total), 6, study=study)
    longer = search(SETTINGS, ROOT, RecordingEvaluator(total), 12, study=study)
    assert longer[:6] == short
    assert longer == search(SETTINGS, ROOT, RecordingEvaluator(total), 12)


@pytest.mark.parametrize("name", PLACES)
def test_trials_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    done = [
        Trial(0, Architecture(ROOT.space.name, (0, 1, 2)), 0.1 + 0.2, {"score": 0.3, "loss": 1.0}),
        Trial(1, Architecture(ROOT.space.name, (2, 2, 3)), -math.inf, {"score": -math.inf}),
        Trial(2, Architecture(ROOT.space.name, (2, 2, 3)), 7.0, {"score": 7.0}, budget=1 / 9),
    ]
    study = open_study(tmp_path / name, "s")
    for trial in done:
        keep(study, ROOT, trial, [trial.score], datetime(2026, 1, 1))
    again = open_study(tmp_path / name, "s")
    assert trials(again, ROOT) == done
    assert again.trials[0].datetime_start == datetime(2026, 1, 1)


def test_optuna_itself_takes_no_partial_score_for_the_best(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.log", "s")
    done = search(from_plugin("hyperband"), ROOT, BudgetedRecordingEvaluator(total), 6, study=study)
    assert [t.state == TrialState.COMPLETE for t in study.trials] == [t.budget == 1 for t in done]
    assert study.best_value == max(t.score for t in done if t.budget == 1)


@pytest.mark.parametrize("name", PLACES)
def test_two_objectives(name: str, tmp_path: Path) -> None:
    directions = ("maximize", "minimize")
    settings = from_plugin("nsga2", population=4)
    study = open_study(tmp_path / name, "s", directions)
    done = search(settings, ROOT, RecordingEvaluator(total), 10, study=study)
    again = open_study(tmp_path / name, "s", directions)
    assert trials(again, ROOT) == done
    assert all(t.values[0] == total(ROOT.space.architecture(t.params)) for t in again.best_trials)


# --- a journal that a kill has cut


def journal(folder: Path, count: int = 5) -> Path:
    path = folder / "study.log"
    search(SETTINGS, ROOT, RecordingEvaluator(total), count, study=open_study(path, "s"))
    return path


def test_a_trial_is_one_line(tmp_path: Path) -> None:
    lines = journal(tmp_path).read_bytes().splitlines()
    assert len(lines) == 1 + 5
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.log"]
    open_study(tmp_path / "study.log", "s")
    assert (tmp_path / "study.log").read_bytes().splitlines() == lines


def test_a_journal_that_is_cut_anywhere_goes_on(tmp_path: Path) -> None:
    """At whatever byte the writing of a line has stopped."""
    path = journal(tmp_path)
    whole = search(SETTINGS, ROOT, RecordingEvaluator(total), 5)
    content = path.read_bytes()
    last = content.rfind(b"\n", 0, -1) + 1
    ends = [content[:size] for size in [*range(last, len(content), 97), len(content) - 1, 0, 5]]
    # A file system may give a file its new length before its content.
    ends += [content[:last] + bytes(50), content[:-50] + bytes(50)]
    for end in ends:
        path.write_bytes(end)
        evaluator = RecordingEvaluator(total)
        study = open_study(path, "s")
        known = len(trials(study, ROOT))
        assert known == (4 if len(end) >= last else 0)
        assert search(SETTINGS, ROOT, evaluator, 5, study=study) == whole
        assert trials(open_study(path, "s"), ROOT) == whole


# --- damage


def overwritten(content: bytes) -> bytes:
    return b"this is no journal, and long enough to tell" * 50


def a_zeroed_block(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64 :]


def a_foreign_last_line(content: bytes) -> bytes:
    return content + b"{}\n"


def a_broken_last_line(content: bytes) -> bytes:
    return content[:-2] + b"\n"


@pytest.mark.parametrize(
    "damage",
    [overwritten, a_zeroed_block, a_foreign_last_line, a_broken_last_line],
)
def test_a_damaged_journal_is_an_error_and_left_alone(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = journal(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=r"study\.log cannot be opened.*delete") as caught:
        open_study(path, "s")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["text", "folder", "scheme"])
def test_a_study_that_cannot_be_opened_is_an_error(damage: str, tmp_path: Path) -> None:
    place: str | Path = tmp_path / "study.log"
    if damage == "text":
        (tmp_path / "study.log").write_text("this is no database, and long enough to tell" * 50)
    elif damage == "folder":
        place = f"sqlite:///{tmp_path / 'missing' / 'study.db'}"
    else:
        place = "nothing://here"
    with pytest.raises(RunFolderError, match="cannot be opened") as caught:
        open_study(place, "s")
    assert "\n" not in str(caught.value)


def test_a_damaged_study_leaves_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(RunFolderError):
        open_study(path, "s")
    assert path.read_bytes() == b"x" * 5000


def test_a_full_disk_is_an_error_and_the_search_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, study = tmp_path / "study.log", open_study(tmp_path / "study.log", "s")
    search(SETTINGS, ROOT, RecordingEvaluator(total), 3, study=study)

    def full(*arguments: object) -> None:
        with path.open("ab") as file:
            file.write(b'{"op_code":4,"half')
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optuna.storages.journal.JournalFileBackend.append_logs", full)
    with pytest.raises(RunFolderError, match=r"No space left.*free space"):
        search(SETTINGS, ROOT, RecordingEvaluator(total), 5, study=study)
    monkeypatch.undo()
    again = search(SETTINGS, ROOT, RecordingEvaluator(total), 5, study=open_study(path, "s"))
    assert again == search(SETTINGS, ROOT, RecordingEvaluator(total), 5)
