"""Undisturbed runs, and the count of the faults that runs have survived."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tools.outcome import outcome, retrained
from tests.tools.process import Done, Running, succeed

from .moments import watch
from .tasks import TASKS, Tiny

SURVIVED = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Reference:
    """The run of a task that nothing happened to."""

    task: Tiny
    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def moments(self, tool: str) -> Path:
        return self.folder / f"{tool}.moments"

    def count(self, tool: str) -> int:
        return len(self.moments(tool).read_text().splitlines())

    def words(self, tool: str) -> list[str]:
        return self.task.words() if tool == "search" else ["run=run"]

    def searched(self, folder: Path) -> None:
        """A copy of the run as it was before retraining."""
        left_out = shutil.ignore_patterns("retrain", "retrain.json", "report.html", "pictures")
        shutil.copytree(self.run, folder / "run", ignore=left_out)

    def end(self, tool: str, folder: Path) -> Done:
        """The same command again has to finish, and with the same result."""
        done = succeed(tool, self.words(tool), folder)
        result: Callable[[Path], dict[str, Any]] = outcome if tool == "search" else retrained
        assert result(folder / "run") == result(self.run)
        assert not list((folder / "run").rglob(".*.part"))
        assert not list((folder / "run").rglob("step-*"))
        return done


def disturbed(
    tool: str, words: list[str], folder: Path, at: int, fault: str, log: Path | None = None
) -> Done:
    """Run a tool with a fault at a moment."""
    return Running(tool, words, folder, prepare=watch, arguments=(log, at, fault)).wait()


@pytest.fixture(scope="session", params=TASKS, ids=lambda task: task.name)
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    """The undisturbed run of each task."""
    folder = tmp_path_factory.mktemp(f"undisturbed-{request.param.name}")
    undisturbed = Reference(request.param, folder)
    for tool in ("search", "retrain"):
        words = undisturbed.words(tool)
        done = disturbed(tool, words, folder, 0, "", undisturbed.moments(tool))
        assert done.code == 0, done.err
    return undisturbed


@pytest.fixture
def survived(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """Counts a fault that a run has survived; each test has to count one."""
    before = len(request.config.stash.setdefault(SURVIVED, []))
    yield request.config.stash[SURVIVED].append
    assert len(request.config.stash[SURVIVED]) > before, "the test injected no fault"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash.get(SURVIVED, [])
    if found:
        kinds = {kind: found.count(kind) for kind in dict.fromkeys(found)}
        listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        terminalreporter.write_line(f"faults injected and survived: {len(found)} ({listed})")
