"""The first and the last moments of a tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from fewshot_core.errors import DataError
from fewshot_core.recipe.cli import main
from fewshot_core.runs.launch import LaunchError

ROOT = Path(__file__).resolve().parents[1]

TOOL = """
import os, signal, sys
from fewshot_core.start import start

def action(words):
    {body}

if __name__ == "__main__":
    raise SystemExit(start("search", "", action))
"""

IMPORTING = """
import os, signal
try:
    os.kill(os.getpid(), signal.{name})
    import time
    time.sleep(5)
except BaseException:  # as libraries do that try what they can import
    pass
"""


def run(
    body: str, folder: Path, shell: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """A tool whose action is ``body``, started by a command line that ends in ``shell``."""
    script = folder / "tool.py"
    script.write_text(TOOL.format(body=body), encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), str(folder)])
    return subprocess.run(
        ["sh", "-c", f'"{sys.executable}" "{script}" {shell}'],
        env={**os.environ, "PYTHONPATH": paths, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("when", ["importing", "working"])
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "stopped by SIGTERM"),
        ("SIGHUP", 129, "stopped by SIGHUP"),
    ],
)
def test_a_signal_is_one_line_at_any_moment(
    name: str, code: int, said: str, when: str, tmp_path: Path
) -> None:
    (tmp_path / "importing.py").write_text(IMPORTING.format(name=name))
    work = f"os.kill(os.getpid(), signal.{name}); signal.pause()"
    done = run("import importing" if when == "importing" else work, tmp_path)
    assert done.returncode == code
    assert done.stderr == f"{said}: the same command resumes where it stopped\n"


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    """As nohup asks for."""
    ignored = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    (tmp_path / "sitecustomize.py").write_text(ignored)
    done = run("os.kill(os.getpid(), signal.SIGHUP); print('lives')", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "lives\n", "")


@pytest.mark.parametrize("shell", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_files_are_no_files_of_the_run(shell: str, tmp_path: Path) -> None:
    body = (
        "file = open('data', 'w'); print('out'); print('err', file=sys.stderr); "
        "os.write(1, b'library'); os.write(2, b'library'); file.write('mine'); file.close(); "
        "assert sys.stdin.read() == '' and not sys.stdout.isatty()"
    )
    done = run(f"os.chdir({str(tmp_path)!r}); {body}", tmp_path, shell)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data").read_text() == "mine"


def test_a_reader_that_went_away_hides_no_error(tmp_path: Path) -> None:
    """The interpreter would say so at its end, with a code of its own."""
    body = (
        "from fewshot_core.errors import DataError\n"
        "    print('a line that stays in the buffer')\n"
        "    reader, writer = os.pipe(); os.close(reader); os.dup2(writer, 1)\n"
        "    raise DataError('no images')"
    )
    done = run(body, tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: no images\n")


def test_an_encoding_without_the_character_ends_nothing(tmp_path: Path) -> None:
    done = run("print('3 \u00d7 3')", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "3 \\xd7 3\n")


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, 2, "error: the launch asks for fully sharded training"),
        ({"WORLD_SIZE": "4"}, 2, "error: the environment speaks of several processes"),
        ({"RANK": "3"}, 2, "error: the environment speaks of several processes"),
        ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "8"}, 0, "note: ACCELERATE_GRADIENT"),
    ],
)
def test_the_environment_is_looked_at_first(
    variables: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    done = run("print('torch' in sys.modules)", tmp_path, **variables)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ("False\n" if code == 0 else "")


TYPOS = {
    "search": [
        ["recipe=digitz"],
        ["recipe=digits", "supernet.epohcs=3"],
        ["recipe=digits", "network.chanels=3"],
        ["recipe=autogan_digits", "gan.critics=3", "evaluator.score=accuracy"],
        ["recipe=mobile_digits", "supernet.lr=-1"],
        ["recipe=digits", "task=cifar11"],
        ["recipe=digits", "supernet.epochs"],
    ],
    "retrain": [["run=nowhere"], ["ruin=x"]],
    "export": [["run=nowhere"]],
    "report": [["recipe=nowhere"]],
    "rank": [["run=nowhere", "truth=a.csv", "column=b"], ["colunm=b"]],
}

ALL_TYPOS = f"""
import runpy, sys
for tool, lines in {TYPOS}.items():
    for words in lines:
        sys.argv = [tool, *words]
        try:
            runpy.run_path(f"{ROOT}/tools/{{tool}}.py", run_name="__main__")
        except SystemExit as ended:
            heavy = {{"torch", "accelerate", "timm", "optuna"}} & set(sys.modules)
            print(tool, words, ended.code, sorted(heavy))
"""


def test_a_typo_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL_TYPOS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == sum(map(len, TYPOS.values()))
    assert [line for line in lines if not line.endswith(" 2 []")] == []
    assert done.stderr.count("error: ") == len(lines)


# --- launchers


def test_the_table_of_torchrun_ends_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def action(words: list[str]) -> None:
        raise DataError("no images", fix="set data.root")

    file = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
    assert main("search", "", action, argv=[]) == 2
    assert json.loads(file.read_text())["message"]["errorCode"] == 2
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=2, error_file=str(file))
    table = str(ChildFailedError("tools/search.py", {0: failure})).splitlines()
    assert table[-2] == "  traceback : error: no images | to fix: set data.root"


def test_a_process_that_no_launcher_has_started_speaks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def action(words: list[str]) -> None:
        raise LaunchError("left over")

    monkeypatch.setenv("RANK", "3")
    assert main("search", "", action, argv=[]) == 2
    assert capsys.readouterr().err == "error: left over\n"
