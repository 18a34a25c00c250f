"""The report of a run that goes on: written now and then, never in its way, and served."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState

from fewshot_core.commands.report import perform
from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.pipeline import live, report
from fewshot_core.pipeline.live import reporting
from fewshot_core.pipeline.report import write_live_report, write_report
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.search import record, search
from fewshot_core.pipeline.serve import open_server
from fewshot_core.pipeline.trials import trial_row
from fewshot_core.report.page import Doing
from fewshot_core.runs.console import Console
from fewshot_core.runs.folder import in_use, take_lock
from tests.tools.tiny import TINY

from .conftest import MakeRun, trials_of

DOING = Doing("search", 12, 24, "2025-01-02 03:04:05 UTC")


class Clock:
    """The seconds that a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(live.time, "monotonic", lambda: self.now)


def rows(run: Run) -> list[dict[str, Any]]:
    return [trial_row(run, run.costs, run.tree, trial) for trial in trials_of(run)]


def test_a_page_of_half_a_search(make_run: MakeRun) -> None:
    run = make_run(["supernets"])
    text = write_live_report(run, DOING, rows(run)[:12]).read_text()
    assert '<html lang="en" data-state="running">' in text
    assert "search: 12 of 24" in text
    assert 'id="trial-11"' in text
    assert 'id="trial-12"' not in text
    assert "Not known yet" in text
    assert "The best score so far" in text
    assert not run.folder.file("pictures").exists()
    # What is over is not said to go on, and the finished page does not look for another.
    record(run, trials_of(run))
    assert 'data-state="running"' not in write_report(run).read_text().partition("<body")[0]


def test_a_page_before_anything_is_there(make_run: MakeRun) -> None:
    run = make_run([])
    text = write_live_report(run, DOING, []).read_text()
    assert text.count("Not known yet") == 2
    assert "No scores yet" in text
    assert "Nothing so far" in text


def test_a_search_is_not_told_to_start_what_is_going_on(make_run: MakeRun) -> None:
    """The folder is in use: a command would be refused."""
    run = make_run(["supernets", "search"])
    text = write_live_report(run, Doing("audit", 1, 9, "now"), []).read_text()
    screen = text.partition('<ul class="tiles">')[2].partition("</ul>")[0]
    assert "Not trained yet" in screen
    assert "fewshot retrain" not in screen
    assert "fewshot retrain" in write_report(run).read_text().partition("</ul>")[0]


def test_pages_come_seldom_and_take_a_small_share_of_the_time(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, written = Clock(monkeypatch), []
    run = replace(make_run(["supernets"]), console=Console())

    def write(run: Run, doing: Doing, trials: Any) -> None:
        written.append((clock.now, doing.done, len(trials)))
        clock.now += 3.0  # a page that takes long

    monkeypatch.setattr(report, "write_live_report", write)
    with reporting(run):
        follower = run.console.follower
        assert follower is not None
        with run.console.progress("search", 1000) as tick:
            for second in range(1000):
                clock.now += 1
                follower.add_trial({})
                tick(second)
    assert run.console.follower is None
    assert written[0] == (100.0 + live.FIRST, 4, 5)
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(written)]
    assert min(gaps) >= 3.0 / live.SHARE
    assert len(written) > 5


def test_a_page_that_fails_stops_nothing(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, tried = Clock(monkeypatch), []
    run = replace(make_run(["supernets"]), console=Console())

    def write(*arguments: Any) -> None:
        tried.append(clock.now)
        raise ZeroDivisionError("a picture")

    monkeypatch.setattr(report, "write_live_report", write)
    with reporting(run), run.console.progress("search", 100) as tick:
        for second in range(100):
            clock.now += 1
            tick(second)
    assert len(tried) == 1
    assert capsys.readouterr().out.count("no report while the run goes on") == 1


# -- served --------------------------------------------------------------------------------------


@contextmanager
def served(file: Path) -> Iterator[HTTPConnection]:
    with open_server(file) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        try:
            yield connection
        finally:
            connection.close()
            server.shutdown()
            thread.join()


def ask(
    connection: HTTPConnection, path: str = "/", method: str = "GET", **headers: str
) -> tuple[HTTPResponse, bytes]:
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer, answer.read()


def test_the_page_is_served_and_its_tag_changes_with_it(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    (tmp_path / "recipe.yaml").write_text("secret")
    with served(file) as connection:
        answer, text = ask(connection)
        assert (answer.status, b"not written its report yet" in text) == (200, True)
        file.write_text("<p>one")
        first, text = ask(connection)
        assert text == b"<p>one"
        head, text = ask(connection, method="HEAD")
        assert (head.headers["ETag"], text) == (first.headers["ETag"], b"")
        same, text = ask(connection, **{"If-None-Match": head.headers["ETag"]})
        assert (same.status, text) == (304, b"")
        file.write_text("<p>another")
        second, text = ask(connection, "/report.html?x")
        assert second.headers["ETag"] != first.headers["ETag"]
        assert text == b"<p>another"


@pytest.mark.parametrize("path", ["/recipe.yaml", "/../recipe.yaml", "/pictures/"])
def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    (tmp_path / "recipe.yaml").write_text("secret")
    with served(tmp_path / "report.html") as connection:
        answer, text = ask(connection, path)
        assert answer.status == 404
        assert b"secret" not in text


def test_a_site_whose_name_points_here_gets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("mine")
    with served(file) as connection:
        answer, text = ask(connection, Host="evil.example:80")
        assert answer.status == 403
        assert b"mine" not in text


def test_a_browser_may_leave_in_the_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path / "report.html") as connection:
        connection.connect()
        assert connection.sock is not None
        # Closed so, the other side finds the connection reset.
        linger = struct.pack("ii", 1, 0)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.sock.sendall(b"GET / HT")
        connection.close()
        assert ask(connection)[0].status == 200
    assert capsys.readouterr().err == ""


def test_only_this_machine_is_listened_to(tmp_path: Path) -> None:
    with open_server(tmp_path / "report.html") as server:
        assert server.server_address[0] == "127.0.0.1"
        port = server.server_address[1]
        with pytest.raises(RecipeError, match=f"cannot be served on port {port}") as caught:
            open_server(tmp_path / "report.html", port)
        assert "port=0" in str(caught.value)
    with pytest.raises(RecipeError, match="cannot be served on port 70000"):
        open_server(tmp_path / "report.html", 70000)


def test_a_run_that_goes_on_is_served_as_it_is(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server neither waits for the run nor writes into its folder."""
    from fewshot_core.pipeline import serve

    shown: list[str] = []
    monkeypatch.setattr(serve, "serve_report", lambda file, port, say: shown.append(file.name))
    run = make_run().folder.path
    with take_lock(run):
        assert in_use(run)
        perform([f"run={run}", "serve=true"])
        assert not (run / "report.html").exists()
    assert not in_use(run)
    perform([f"run={run}", "serve=true"])
    assert (run / "report.html").exists()
    assert shown == ["report.html"] * 2
    with pytest.raises(FewshotError, match="serve=maybe is not true or false"):
        perform([f"run={run}", "serve=maybe"])
    with pytest.raises(RecipeError, match="port=8000 has no effect"):
        perform([f"run={run}", "port=8000"])


# -- in a search ---------------------------------------------------------------------------------


def test_a_search_is_followed_and_finds_what_it_finds_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for state in (PartialState, AcceleratorState, GradientState):
        monkeypatch.setattr(state, "_shared_state", {})
    words = [f"{key}={value}" for key, value in TINY.items() if not key.startswith("audit.")]
    words += ["audit.networks=0"]
    search([*words, f"run={tmp_path / 'plain'}"]).folder.close()
    write, pages = report.write_live_report, []

    def keep(run: KeptRun, doing: Doing, trials: Any) -> None:
        fresh = not pages or pages[-1][0] != doing.title  # of a training one page will do
        if fresh or doing.title == "search":
            pages.append((doing.title, write(run, doing, trials).read_text()))

    monkeypatch.setattr(report, "write_live_report", keep)
    monkeypatch.setattr(live, "FIRST", 0.0)
    monkeypatch.setattr(live, "EVERY", 0.0)
    monkeypatch.setattr(live, "SHARE", float("inf"))
    search([*words, f"run={tmp_path / 'followed'}"]).folder.close()
    stages = [title for title, _ in pages]
    assert stages[0].startswith("images") or stages[0] == "supernet root"
    assert "supernet root" in stages
    marks = [text.count('id="time-') for title, text in pages if title == "search"]
    assert marks == sorted(marks)
    assert marks[-1] == 8
    for name in ("found.json", "trials.csv", "pareto.json", "regions.json"):
        plain, followed = (tmp_path / run / name for run in ("plain", "followed"))
        assert plain.read_bytes() == followed.read_bytes(), name
    assert 'data-state="running"' not in (tmp_path / "followed" / "report.html").read_text()[:200]
