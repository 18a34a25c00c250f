"""What all studies share: stored rows stay valid, jobs are done once, figures are written down."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies import record, study
from benchmarks.studies.differentiable.measure import Differentiable
from benchmarks.studies.generators.measure import Generators
from benchmarks.studies.jobs import Job, make_slug, merge_row, read_rows, run_jobs
from benchmarks.studies.mobile.measure import Mobile
from benchmarks.studies.ranking.measure import Ranking
from benchmarks.studies.record import RESULTS, read_figures
from benchmarks.studies.spaces.measure import Spaces
from benchmarks.studies.strategies.measure import Strategies
from benchmarks.studies.study import Study
from benchmarks.studies.tables import Table, spread, spread_text
from benchmarks.studies.together import Together
from tests.benchmarks.shared import options

WITH_ROWS = (Ranking, Differentiable, Mobile, Generators, Together)


def all_jobs(made: Study, rows: dict[str, Any]) -> list[Job]:
    return [job for stage in made.stages for job in made.jobs(stage, rows)]


# -- what was measured -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WITH_ROWS, ids=lambda kind: kind.__name__)
def test_what_was_measured_counts_as_done(kind: type[Study], tmp_path: Path) -> None:
    """A change that makes rows out of date throws away hours of work: it had better be meant.

    Every stored row is the row of a job of now, with the same key and the same settings, and every
    job of the stages that were done has its row.
    """
    made = kind(options(kind), tmp_path)
    path = RESULTS / f"{made.name}_rows.json"
    rows = read_rows(path)
    jobs = {job.key: job for job in all_jobs(made, rows)}
    assert len(rows) >= 8
    assert {key: rows[key]["recipe"] for key in rows} == {key: jobs[key].recipe for key in rows}
    stages = made.first_stages or made.stages
    wanted = {job.key for stage in stages for job in made.jobs(stage, rows)}
    assert set(rows) == wanted


@pytest.mark.parametrize("kind", [*WITH_ROWS, Strategies], ids=lambda kind: kind.__name__)
def test_the_tables_of_stored_figures_are_made(kind: type[Study], tmp_path: Path) -> None:
    made = kind(options(kind), tmp_path)
    for table in made.docs_tables(read_figures(made.name)):
        assert table.lines
        assert {len(line) for line in table.lines} == {len(table.header)}


@pytest.mark.parametrize("words", [(), ("--quick",)], ids=["full", "quick"])
@pytest.mark.parametrize("kind", [*WITH_ROWS, Strategies, Spaces], ids=lambda kind: kind.__name__)
def test_jobs_have_names_of_their_own(
    kind: type[Study], words: tuple[str, ...], tmp_path: Path
) -> None:
    jobs = all_jobs(kind(options(kind, *words), tmp_path), {})
    assert len({job.key for job in jobs}) == len({job.slug for job in jobs}) == len(jobs) > 0


# -- the framework ---------------------------------------------------------------------------------


class Doubling(Study):
    """The smallest study: numbers are doubled, and the largest of them once more."""

    module = "tests.benchmarks.nothing"
    folder = "runs/doubling"
    stages = ("numbers", "largest")
    needs = "numbers.txt"
    name = "doubling"
    seeds = 1

    def __init__(self, given: Any, work: Path) -> None:
        self.work, self.numbers = work, (1, 2) if given.quick else (1, 2, 3)

    def jobs(self, stage: str, rows: Any) -> list[Job]:
        done = [row["doubled"] for key, row in rows.items() if key.startswith("numbers")]
        numbers = self.numbers if stage == "numbers" else [max(done)]
        return [
            Job(f"{stage} | {n}", make_slug(stage, n), [f"number={n}"], lambda n=n: self._double(n))
            for n in numbers
        ]

    def _double(self, number: int) -> dict[str, Any]:
        with (self.work / "log").open("a") as log:
            log.write(f"{number}\n")
        return {"doubled": 2 * number}

    def summarise(self, rows: Any) -> dict[str, Any]:
        return {"doubled": sorted(row["doubled"] for row in rows.values())}

    def tables(self, figures: Any) -> list[Table]:
        return [Table("doubled", ("place", "number"), list(enumerate_text(figures["doubled"])))]

    def problem(self, figures: Any) -> str | None:
        return "odd" if any(number % 2 for number in figures["doubled"]) else None


def enumerate_text(numbers: list[int]) -> list[tuple[str, str]]:
    return [(str(place), str(number)) for place, number in enumerate(numbers)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results are written here, and workers run in this process."""
    (tmp_path / "numbers.txt").write_text("")
    (tmp_path / "work").mkdir()
    (tmp_path / "results").mkdir()
    for module in (study, record):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")

    def share_out(made: Study, given: Any, work: Path, words: list[str]) -> bool:
        return study.main(Doubling, None, [*words, "--worker", "--work", str(work)]) == 0

    monkeypatch.setattr(study, "_share_out", share_out)
    return tmp_path


def run(folder: Path, *words: str) -> int:
    where = ["--data", str(folder), "--work", str(folder / "work")]
    return study.main(Doubling, None, [*where, *words])


def test_a_study_is_done_shown_and_done_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(here, "--markdown") == 0
    rows = read_rows(here / "results" / "doubling_rows.json")
    assert rows["largest | 6"] == {"recipe": ["number=6"], "doubled": 12}
    assert len(rows) == 4
    written = json.loads((here / "results" / "doubling.json").read_text())
    assert written["figures"] == {"doubled": [2, 4, 6, 12]}
    assert written["seeds"] == [0]
    assert written["command"].startswith("python ")
    assert {"date", "machine"} <= set(written)
    assert "| 3 | 12 |" in capsys.readouterr().out
    assert run(here) == run(here, "--show") == 0
    assert (here / "work" / "log").read_text().split() == ["1", "2", "3", "6"]  # each once


def test_only_what_is_missing_or_out_of_date_is_done(here: Path) -> None:
    run(here, "--stages", "numbers")
    path = here / "results" / "doubling_rows.json"
    rows = read_rows(path)
    assert set(rows) == {"numbers | 1", "numbers | 2", "numbers | 3"}
    del rows["numbers | 3"]
    rows["numbers | 2"]["recipe"] = ["number=two"]
    path.write_text(json.dumps(rows))
    (here / "work" / "log").unlink()
    run(here, "--stages", "numbers")
    assert (here / "work" / "log").read_text().split() == ["2", "3"]


def test_quick_writes_nothing(here: Path) -> None:
    assert run(here, "--quick") == 0
    assert list((here / "results").iterdir()) == []
    assert list((here / "work").iterdir()) == []


def test_a_study_without_rows_of_its_own_shows_its_figures(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Doubling, "keeps_rows", False)
    assert run(here) == 0
    assert [path.name for path in (here / "results").iterdir()] == ["doubling.json"]
    before = (here / "results" / "doubling.json").read_bytes()
    (here / "numbers.txt").unlink()  # figures need no data
    capsys.readouterr()
    assert run(here, "--show", "--markdown") == 0
    assert "| 3 | 12 |" in capsys.readouterr().out
    assert (here / "results" / "doubling.json").read_bytes() == before


def test_a_problem_is_the_exit_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Doubling, "_double", lambda self, number: {"doubled": 3 * number})
    assert run(here) == 1


def test_a_worker_that_fails_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "_share_out", lambda *arguments: False)
    assert run(here) == 1
    assert list((here / "results").iterdir()) == []


def test_what_is_missing_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "numbers.txt").unlink()
    assert run(here, "--quick") == 0
    assert "holds no numbers.txt" in capsys.readouterr().out
    assert run(here) == 2


def _work(folder: Path) -> None:
    run_jobs(Doubling(options(Doubling), folder).jobs("numbers", {}), folder, folder / "rows.json")


def test_two_workers_do_each_job_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert Counter((tmp_path / "log").read_text().split()) == {"1": 1, "2": 1, "3": 1}
    assert len(read_rows(tmp_path / "rows.json")) == 3


def test_rows_of_two_workers_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    merge_row(path, "a", {"value": 1})
    merge_row(path, "b", {"value": 2})
    assert read_rows(path) == {"a": {"value": 1}, "b": {"value": 2}}


# -- small parts -----------------------------------------------------------------------------------


def test_names_of_folders() -> None:
    assert make_slug("one-shot, balanced", f"{120.0:g}", 0) == "one-shot-balanced-120-0"
    assert make_slug("few-shot, 2 regions", 1) == "few-shot-2-regions-1"


def test_tables_keep_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("one [of] two", ("name", "interval"), [("[red]", "[0.1, 0.2]")])
    table.show()
    out = capsys.readouterr().out
    assert all(text in out for text in ("one [of] two", "[red]", "[0.1, 0.2]"))
    assert table.markdown() == "| name | interval |\n| --- | ---: |\n| [red] | [0.1, 0.2] |"


def test_spread() -> None:
    assert spread_text(spread([1.0, None, 3.0]), 2) == "2.00 ± 1.41"
    assert spread_text(spread([1.0]), 1) == "1.0"
    assert spread_text(spread([None]), 1) == ""
