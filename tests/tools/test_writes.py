"""A run writes into its run folder and its cache, and nowhere else."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.data.forms import images, write_folder

from .process import run_tool, words_of
from .refusals import contents
from .tiny import TINY

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.mkdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
    "shutil.copyfile": (1,),
    "shutil.move": (0, 1),
    "sqlite3.connect": (0,),
}
"""Events of the interpreter that change files, and which of their arguments these are."""


def watch(log: str, home: str) -> None:
    """In a tool's process: note what is written to, and give it a home of its own."""
    os.environ.update(HOME=home, XDG_CACHE_HOME=f"{home}/.cache", MPLCONFIGDIR=f"{home}/.cache/mpl")
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            paths = [path] if flags & WRITING else []
        else:
            paths = [arguments[place] for place in CHANGING.get(event, ())]
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                text = os.path.abspath(os.fsdecode(path))
                os.write(lines, f"{event} {text}\n".encode("utf-8", "backslashreplace"))

    sys.addaudithook(note)


FOLDER = {k: v for k, v in TINY.items() if k not in ("data.limit",)} | {
    "data": "images",
    "data.root": "images",
}


@pytest.mark.parametrize(
    ("settings", "tools"),
    [(TINY, ("search",)), (FOLDER, ("search", "retrain", "export", "report"))],
    ids=["digits", "folder"],
)
def test_nothing_is_written_elsewhere(
    settings: dict[str, object], tools: tuple[str, ...], tmp_path: Path
) -> None:
    work, home, log = tmp_path / "work", tmp_path / "home", tmp_path / "log"
    for folder in (work, home):
        folder.mkdir()
    write_folder(work / "images", images(8))
    before = contents(work / "images")
    for tool in tools:
        given = words_of(settings, run="run") if tool == "search" else ["run=run"]
        arguments = (str(log), str(home))
        drawn = settings is FOLDER
        done = run_tool(tool, given, work, prepare=watch, arguments=arguments, pictures=drawn)
        assert done.code == 0, done.err
    written = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert any(path.startswith(f"{work}/run/checkpoints/") for _, path in written)
    # Whoever asks torch for an export makes it open the cache of its compiler.
    compiler = str(Path(tempfile.gettempdir()) / "torchinductor_")
    allowed = (str(work / "run"), str(home / ".cache"), compiler, "/dev/", "/proc/self/")
    elsewhere = sorted({f"{event} {p}" for event, p in written if not p.startswith(allowed)})
    assert elsewhere == []
    # What is not written by Python is seen by what there is in the end.
    assert contents(work / "images") == before
    assert {path.name for path in work.iterdir()} == {"images", "run"}
    assert {path.name for path in home.iterdir()} <= {".cache"}
