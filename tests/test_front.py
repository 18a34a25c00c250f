"""The command `fewshot`, and what it says where no command is meant."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from fewshot_core.commands.command import command_names, find_command
from fewshot_core.front import main
from fewshot_core.runs.farewell import ENDING

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """As they were: the command answers them from its first moment on."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["help"]):
        assert main(words) == 0
        out = capsys.readouterr().out
        for name in command_names():
            assert f"\n  {name} " in out
            assert find_command(name).summary in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_every_tool_of_the_checkout_is_a_command() -> None:
    tools = {path.stem for path in (ROOT / "tools").glob("*.py")}
    assert tools == set(command_names())
    assert all(find_command(name).name == name for name in tools)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fewshot-nas {version('fewshot-nas')}\n"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["serch"], ("unknown command 'serch'", "did you mean 'search'?", "fewshot --help")),
        (["recipe=digits"], ("which command?", "fewshot search recipe=digits")),
        (["--completion"], ("which shell?", "bash, zsh")),
        (["--completion", "fish"], ("no completion for fish", "bash, zsh")),
        (["search", "processes=0", "recipe=digits"], ("processes=0 starts nothing", "from 1")),
        (["export", "processes=2", "run=x"], ("fewshot export uses one process", "leave it out")),
        (["search", "processes=2", "recipe=digit"], ("unknown recipe 'digit'", "'digits'")),
        (["retrain", "processes=2", "run=nowhere"], ("nowhere is no run folder",)),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert all(part in said.err for part in parts), said.err


def test_a_command_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: fewshot search recipe=NAME")


PROGRAM = [str(Path(sys.executable).with_name("fewshot"))]


@pytest.mark.parametrize("program", [PROGRAM, [sys.executable, "-m", "fewshot_core"]])
def test_it_is_a_program_and_a_module(program: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*program, "search", "--list-recipes"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\ndigits " in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["--completion", "--", "search", "supernet.w"]])
def test_its_first_moments_import_nothing_that_takes_seconds(words: list[str]) -> None:
    code = f"import sys; from fewshot_core.front import main; main({words!r}); "
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            code + "print({'torch', 'optuna', 'scipy', 'timm'} & {*sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("set()\n")


Complete = Callable[..., list[str]]


@pytest.fixture
def complete(capsys: pytest.CaptureFixture[str]) -> Complete:
    def ask(*words: str) -> list[str]:
        assert main(["--completion", "--", *words]) == 0
        return capsys.readouterr().out.splitlines()

    return ask


def test_completion(complete: Complete, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "recipe.yaml").touch()
    (tmp_path / "images").mkdir()
    (tmp_path / "images.tar").touch()
    assert complete("ret") == ["retrain"]
    assert complete("search", "recipe=mobile_d") == ["recipe=mobile_digits"]
    assert complete("search", "strategy=rei") == ["strategy=reinforce"]
    assert complete("search", "strategy.name=rei") == ["strategy.name=reinforce"]
    assert complete("search", "supernet.paths=bal") == ["supernet.paths=balanced"]
    assert complete("search", "split.by=gro") == ["split.by=groups"]
    assert complete("search", "data.memory=t") == ["data.memory=true"]
    assert complete("search", "retrain.schedule=") == [
        "retrain.schedule=cosine",
        "retrain.schedule=step",
    ]
    assert complete("search", "supernet.warm") == ["supernet.warmup_epochs="]
    assert complete("search", "task=aut") == ["task=autogan"]
    assert complete("search", "recipe=digits", "network.cha") == ["network.channels="]
    assert complete("search", "task=imagenet", "network.wid") == ["network.width="]
    assert complete("search", "recipe=digit", "network.cha") == []  # it is not there
    assert complete("search", "task=os:path", "network.cha") == []  # no code of others is run
    assert complete("search", "run=") == ["run=runs/mine"]
    assert complete("search", "data.root=im") == ["data.root=images/", "data.root=images.tar"]
    assert complete("rank", "run=runs/mine", "tr") == ["truth="]
    assert complete("rank", "run=runs/mine", "ru") == []  # it is given
    assert complete("nonsense", "x") == []


BASH = """
eval "$(fewshot --completion bash)"
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
try() {
    COMP_LINE="$1"; COMP_POINT=${#1}; COMPREPLY=(); _fewshot 2> /dev/null
    echo "${COMPREPLY[*]}"
}
try "fewshot ex"
try "fewshot search recipe=mobile_d"
try "fewshot search strategy=rei"
try "fewshot search recipe=digits supernet.warm"
try "fewshot search "
"""


def test_bash_completes() -> None:
    bin_folder = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        env={"PATH": f"{bin_folder}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    # What follows the last `=` alone: bash has taken the rest for another word.
    assert lines[:4] == ["export", "mobile_digits", "reinforce", "supernet.warmup_epochs="]
    assert "recipe=" in lines[4]


ZSH = """
compdef() { registered=$1 }
compadd() { print -r -- "$@" }
eval "$(fewshot --completion zsh)"
try() { words=(fewshot "$@"); CURRENT=$#words; $registered }
try ex
try search recipe=mobile_d
try search recipe=digits supernet.warm
try search nothing_like_it || true
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_completes() -> None:
    """Without its completion system, of which the script calls two functions."""
    done = subprocess.run(
        ["zsh", "-f", "-c", ZSH],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    # What ends with `=` goes on: no space follows it.
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "-Q -- export",
        "-Q -- recipe=mobile_digits",
        "-Q -S  -- supernet.warmup_epochs=",
    ]
