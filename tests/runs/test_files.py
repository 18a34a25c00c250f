"""Files are whole, of the mode that the umask says, and the only thing that is written."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path

import matplotlib.figure
import pytest
import torch
from safetensors.torch import load_file, save_file

from fewshot_core.errors import RunFolderError
from fewshot_core.report.canvas import save_picture
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import write_atomic, write_copy, write_json, write_tensors, write_text
from fewshot_core.trust.scores import ScoreLog, write_table

WEIGHTS = {"a": torch.ones(2)}


@pytest.fixture
def masked() -> Iterator[Callable[[int], int]]:
    """Sets the umask of this process until the test ends."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def _checkpoint(path: Path) -> None:
    stage = StageCheckpoint(path)
    stage.save(StageState(step=1), {"weights": WEIGHTS})
    stage.finish(StageState(step=2), WEIGHTS)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: write_text(path, "1"),
    "json": lambda path: write_json(path, [1]),
    "copy": lambda path: write_copy(path, Path(__file__)),
    "tensors": lambda path: write_tensors(path, WEIGHTS, format="pt"),
    "any function of safetensors": lambda path: write_atomic(path, lambda p: save_file(WEIGHTS, p)),
    "torch": lambda path: write_atomic(path, lambda p: torch.save(WEIGHTS, p)),
    "table": lambda path: write_table(path, [{"a": 1}], ["a"]),
    "log": lambda path: ScoreLog(path, ["a"]).close(),
    "checkpoint": _checkpoint,
    "picture": lambda path: save_picture(matplotlib.figure.Figure(), path.parent, path.name),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)]
)
def test_modes_are_those_of_the_umask(
    tmp_path: Path,
    masked: Callable[[int], int],
    writer: str,
    umask: int,
    file: int,
    folder: int,
) -> None:
    masked(umask)
    WRITERS[writer](tmp_path / "new" / "file")
    found = list((tmp_path / "new").rglob("*"))
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in found}
    assert modes <= {(False, file), (True, folder)}
    assert (False, file) in modes
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == folder


@pytest.mark.parametrize("writer", [name for name in WRITERS if name not in ("log", "checkpoint")])
def test_nothing_else_is_written(tmp_path: Path, writer: str) -> None:
    mine = [".file.part", "file.part", ".file.tmp", f".file.{os.getpid()}.tmp", ".file.svg.part"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    WRITERS[writer](tmp_path / "file")
    assert {name: (tmp_path / name).read_text() for name in mine} == dict.fromkeys(mine, "mine")
    assert not list(tmp_path.glob(".fewshot-nas-*"))


def test_tensors_are_read_back(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w", {"a": torch.arange(6).reshape(2, 3).t()}, format="pt")
    assert torch.equal(load_file(tmp_path / "w")["a"], torch.tensor([[0, 3], [1, 4], [2, 5]]))


def test_a_name_may_be_as_long_as_names_may_be(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 255), "1")
    with pytest.raises(RunFolderError, match="cannot write"):
        write_text(tmp_path / ("x" * 256), "1")
    assert [path.name for path in tmp_path.iterdir()] == ["x" * 255]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "1")

    def fail(beside: Path) -> None:
        beside.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunFolderError, match="No space left on device"):
        write_atomic(tmp_path / "file", fail)
    assert (tmp_path / "file").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _killed(path: Path) -> None:
    write_atomic(path, lambda beside: os.kill(os.getpid(), signal.SIGKILL))


def test_what_a_kill_left_goes_with_the_next_write(tmp_path: Path) -> None:
    process = get_context("fork").Process(target=_killed, args=(tmp_path / "file",))
    process.start()
    process.join()
    (left,) = tmp_path.iterdir()
    assert left.match(".fewshot-nas-*.part")
    write_text(tmp_path / "other", "1")  # somebody else's is not looked at
    assert left.exists()
    write_text(tmp_path / "file", "2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other"]


def test_two_that_write_the_same_file_do_not_meet(tmp_path: Path) -> None:
    def within(beside: Path) -> None:
        beside.write_text("first")
        write_text(tmp_path / "file", "second")
        assert beside.read_text() == "first"

    write_atomic(tmp_path / "file", within)
    assert (tmp_path / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
