"""Tools in processes of their own.

Importing torch takes seconds, so most processes are forked from one that has done it already: they
run the tool's file with the words as ``sys.argv``, have their own standard output and exit code,
and can be killed. What depends on a start from nothing runs the real command line; what ends at
once, as bad input does, runs in this process.
"""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import re
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from accelerate.state import AcceleratorState
from matplotlib.figure import Figure

from fewshot_core.commands.command import find_command
from fewshot_core.errors import FewshotError
from fewshot_core.recipe.cli import main
from fewshot_core.recipe.load import load_recipe
from tests.shared import flush_nothing

TOOLS = Path(__file__).resolve().parents[2] / "tools"
TIMEOUT = 120

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [f"fewshot_core.pipeline.{name}" for name in ("search", "retrain", "export", "rank", "report")]
    + [
        "fewshot_tasks.cifar10.task",
        "fewshot_tasks.imagenet.task",
        "fvcore.nn",
        "scipy.stats",
        "matplotlib.figure",
        "optuna.storages",
    ]
    + ["matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg"]
    + ["onnxruntime", "onnxscript", "onnx.reference", "networkx"]  # of an export to ONNX
)

BLANK = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'
"""What a picture is that nobody looks at."""


@dataclass(frozen=True)
class Done:
    """What an ended process left."""

    code: int
    out: str
    err: str
    seconds: float


class Running:
    """A tool that was started."""

    def __init__(
        self,
        tool: str,
        words: Sequence[str],
        cwd: Path,
        *,
        real: bool = False,
        variables: Mapping[str, str] | None = None,
        prepare: Callable[..., None] | None = None,
        arguments: Sequence[object] = (),
        pictures: bool = False,
    ) -> None:
        """Start it.

        Args:
            tool: Name of the tool's file, without ``.py``.
            words: Its words.
            cwd: The folder that it runs in.
            real: Whether to run the command line of a user instead of a fork.
            variables: Environment of a real process; by default that of this one.
            prepare: What a fork calls before the tool, with ``arguments``.
            arguments: Arguments of ``prepare``.
            pictures: Whether a fork renders its pictures. They are three quarters of the time of a
                report; without, every figure is drawn, and written as an empty image.
        """
        self._began = time.monotonic()
        self._logs = [cwd / f".{tool}-{time.monotonic_ns()}.{name}" for name in ("out", "err")]
        self._process: multiprocessing.process.BaseProcess | subprocess.Popen[bytes]
        if real:
            with self._logs[0].open("wb") as out, self._logs[1].open("wb") as err:
                self._process = subprocess.Popen(
                    [sys.executable, str(TOOLS / f"{tool}.py"), *words],
                    cwd=cwd,
                    env=variables,
                    stdout=out,
                    stderr=err,
                )
        else:
            self._process = _FORKS.Process(
                target=_run, args=(tool, words, cwd, self._logs, prepare, arguments, pictures)
            )
            self._process.start()

    def alive(self) -> bool:
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll() is None
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def terminate(self) -> None:
        """SIGTERM, as a cluster sends it."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, which no program can see coming."""
        self._process.kill()

    def wait(self) -> Done:
        if isinstance(self._process, subprocess.Popen):
            code: int | None = self._process.wait(TIMEOUT)
        else:
            self._process.join(TIMEOUT)
            code = self._process.exitcode
        if code is None:
            self.kill()
            raise AssertionError(f"the tool still ran after {TIMEOUT} s")
        seconds = time.monotonic() - self._began
        out, err = (log.read_text() if log.exists() else "" for log in self._logs)
        for log in self._logs:
            log.unlink(missing_ok=True)
        return Done(code, out, err, seconds)


def run_here(tool: str, words: Sequence[str], cwd: Path) -> Done:
    """Run a tool in this process: where little is computed, and nothing depends on the process."""
    command = find_command(tool)
    out, err, began = io.StringIO(), io.StringIO(), time.monotonic()
    AcceleratorState._reset_state()  # of a run that this process has opened before
    blank = patch.object(Figure, "savefig", _leave_blank)
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), blank:
        code = main(tool, command.about, command.action, keys=command.keys, argv=words)
    return Done(code, out.getvalue(), err.getvalue(), time.monotonic() - began)


def run_tool(tool: str, words: Sequence[str], cwd: Path, **more: Any) -> Done:
    """Run a tool to its end; ``more`` is what :class:`Running` takes."""
    return Running(tool, words, cwd, **more).wait()


def succeed(tool: str, words: Sequence[str], cwd: Path, **more: Any) -> Done:
    """Run a tool that has to end well."""
    done = run_tool(tool, words, cwd, **more)
    assert done.code == 0, f"{tool} {' '.join(words)}\n{done.out}\n{done.err}"
    return done


def words_of(settings: Mapping[str, object], **more: object) -> list[str]:
    """``key=value`` words; a later value replaces an earlier one.

    Those that have no effect with the others are left out: a tiny search has settings for every
    strategy and evaluator, and giving them in vain is an error.
    """
    words = {key: f"{key}={value}" for key, value in {**settings, **more}.items()}
    try:
        load_recipe(list(words.values()))
    except FewshotError as error:
        for key in re.findall(r"([\w.]+)=[^=|]* has no effect with", str(error)):
            section = key.rpartition(".")[0]
            words.pop(key if key in words else section, None)
    return list(words.values())


def launch(
    processes: int,
    tool: str,
    words: Sequence[str],
    cwd: Path,
    prepare: Callable[..., None] | None = None,
    arguments: Sequence[object] = (),
) -> list[Running]:
    """The processes of one launch on this machine, as a launcher would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = []
    for rank in range(processes):
        variables = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": processes,
            "LOCAL_WORLD_SIZE": processes,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "ACCELERATE_USE_CPU": "true",
        }
        one = (variables, prepare, tuple(arguments))
        found.append(Running(tool, words, cwd, prepare=_as_one_of_many, arguments=one))
    return found


def _as_one_of_many(
    variables: Mapping[str, object],
    prepare: Callable[..., None] | None,
    arguments: Sequence[object],
) -> None:
    os.environ.update({name: str(value) for name, value in variables.items()})
    if prepare is not None:
        prepare(*arguments)


def _run(
    tool: str,
    words: Sequence[str],
    cwd: Path,
    logs: Sequence[Path],
    prepare: Callable[..., None] | None,
    arguments: Sequence[object],
    pictures: bool,
) -> None:
    flush_nothing()
    # As in tests/conftest.py: without pytest-xdist it is forks that readline tells.
    os.environ.pop("COLUMNS", None)
    gc.freeze()  # every training ends with a collection, which would walk all that is imported
    os.chdir(cwd)
    for number, log in enumerate(logs, start=1):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if not pictures:
        Figure.savefig = _leave_blank  # type: ignore[assignment]
    if prepare is not None:
        prepare(*arguments)
    sys.argv = [str(TOOLS / f"{tool}.py"), *words]
    runpy.run_path(sys.argv[0], run_name="__main__")


def _leave_blank(figure: Figure, file: io.StringIO | Path, **more: Any) -> None:
    """Stands for ``Figure.savefig``."""
    if isinstance(file, io.StringIO):
        file.write(BLANK)
    else:
        Path(file).write_bytes(b"")
