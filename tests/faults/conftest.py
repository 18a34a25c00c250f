"""Undisturbed runs, and the notes on faults that runs have survived."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FAULT
from tests.shared import once
from tests.tools.outcome import outcome, retrained
from tests.tools.process import Done, Running, succeed

from .moments import watch
from .tasks import TASKS, Tiny

SEARCHED = "searched"
"""The undisturbed run as it was before retraining."""


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

    def part(self, name: str) -> str:
        """How the lines of a part begin; ``step of a region`` is of the last one trained."""
        if name != "step of a region":
            return name
        lines = self.moments("search").read_text().splitlines()
        return next(line for line in reversed(lines) if line.startswith("step of supernet"))

    def words(self, tool: str) -> list[str]:
        return self.task.words() if tool == "search" else ["run=run"]

    def searched(self, folder: Path) -> None:
        """A copy of the run as it was before retraining."""
        shutil.copytree(self.folder / SEARCHED, folder / "run")

    def end(self, tool: str, folder: Path) -> Done:
        """The same command again has to finish, and with the same result."""
        done = succeed(tool, self.words(tool), folder)
        self.require_same(tool, folder)
        return done

    def require_same(self, tool: str, folder: Path) -> None:
        """The run in the folder has ended with the result of this one, and left nothing over."""
        result: Callable[[Path], dict[str, Any]] = outcome if tool == "search" else retrained
        assert result(folder / "run") == result(self.run)
        assert not list((folder / "run").rglob(".*.part"))
        assert not list((folder / "run").rglob("step-*.pt"))


def disturbed(
    tool: str, words: list[str], folder: Path, at: int, fault: str, log: Path | None = None
) -> Done:
    """Run a tool with a fault at a moment."""
    return Running(tool, words, folder, prepare=watch, arguments=(log, at, fault)).wait()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Tiny], Reference]:
    """The undisturbed run of a task; made once."""

    def made(task: Tiny) -> Reference:
        def make(folder: Path) -> None:
            reference = Reference(task, folder)
            for tool in ("search", "retrain"):
                words, log = reference.words(tool), reference.moments(tool)
                done = disturbed(tool, words, folder, 0, "", log)
                assert done.code == 0, done.err
                if tool == "search":
                    shutil.copytree(reference.run, folder / SEARCHED)

        return Reference(task, once(tmp_path_factory, f"undisturbed-{task.name}", make))

    return made


@pytest.fixture
def reference(undisturbed: Callable[[Tiny], Reference]) -> Reference:
    """The undisturbed run of the first task: for what does not depend on the task."""
    return undisturbed(TASKS[0])


@pytest.fixture(params=TASKS, ids=lambda task: task.name)
def each(request: pytest.FixtureRequest, undisturbed: Callable[[Tiny], Reference]) -> Reference:
    """The undisturbed run of every task, or of the tasks that a test asks for."""
    return undisturbed(request.param)


@pytest.fixture
def survived(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """Counts a fault that a run has survived; each test has to count one."""
    noted = request.node.user_properties
    before = len(noted)
    yield lambda kind: noted.append((FAULT, kind))
    assert len(noted) > before, "the test injected no fault"
