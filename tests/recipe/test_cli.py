from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot_core.errors import DataError, RecipeError
from fewshot_core.plugins import plugins
from fewshot_core.recipe.cli import is_main_process, main, parse_words
from fewshot_core.recipe.keys import Layout
from fewshot_core.recipe.load import recipe_from_file
from fewshot_core.recipe.schema import Recipe

from .conftest import Write

DOC = "Search architectures.\n\nMore about it."


@pytest.fixture(autouse=True)
def _without_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one recipe, as the current one."""
    write("recipes/own_demo", "description: A small one.\nsupernet: {epochs: 3}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nothing(words: list[str]) -> None:
    raise AssertionError(f"the action was called with {words}")


# --- the common flags


def test_help_lists_every_key_with_default_and_comment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("search", DOC, nothing, argv=["--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: fewshot search recipe=NAME")
    assert "More about it." in out
    assert "  fewshot search recipe=" in out
    for key in Layout(Recipe).setting_keys():
        assert key.startswith("network.") or f"  {key}=" in out, key
    assert "random horizontal flips" in out
    assert "network.*" in out


def test_help_with_a_recipe_shows_its_task(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("search", DOC, nothing, argv=["-h", "recipe=own_demo"]) == 0
    out = capsys.readouterr().out
    assert "network: The network of the fake task." in out
    assert "network.channels=16" in out
    assert "channels of the first stage" in out
    assert "supernet.epochs=3.0" in out


def test_help_of_a_tool_with_words_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"run": Path, "column": "score", "out": Path | None, "plot": False}
    assert main("rank", DOC, nothing, keys=keys, argv=["--help"]) == 0
    out = capsys.readouterr().out
    for word in ("run=PATH  (required)", "column=score", "out=", "plot=false"):
        assert f"  {word}" in out
    assert "--list-recipes" not in out


@pytest.mark.parametrize("flag", ["--help", "--list-recipes", "--list-strategies"])
def test_torch_is_not_imported(flag: str) -> None:
    code = (
        "import sys; from fewshot_core.recipe.cli import main; "
        f"code = main('search', '', lambda words: 0, argv=[{flag!r}]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_list_recipes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("search", DOC, nothing, argv=["--list-recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.split() == ["own_demo", "A", "small", "one."]]


def test_list_strategies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("search", DOC, nothing, argv=["--list-strategies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == list(plugins("strategy"))
    assert set(names) >= {"random", "rea", "reinforce", "hyperband", "bohb", "smac", "tpe", "nsga2"}
    assert "hyperband   many architectures" in "\n".join(lines)


def test_a_tool_without_settings_lists_no_strategies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main("rank", DOC, nothing, keys={"recipe": ""}, argv=["--help"]) == 0
    assert "--list-strategies" not in capsys.readouterr().out


def test_print_recipe_can_be_read_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--print-recipe", "recipe=own_demo", "supernet.lr=0.3", "run=x"]
    assert main("search", DOC, nothing, argv=words) == 0
    path = folder / "printed.yaml"
    path.write_text(capsys.readouterr().out)
    recipe = recipe_from_file(path)
    assert (recipe.recipe, recipe.supernet.lr) == ("own_demo", 0.3)


# --- running


def test_the_action_gets_the_words_and_gives_the_code() -> None:
    seen: list[list[str]] = []
    assert main("search", DOC, seen.append, argv=["a=1", "--b", "2"]) == 0
    assert seen == [["a=1", "--b", "2"]]
    assert main("search", DOC, lambda words: 3, argv=[]) == 3


def test_bad_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def action(words: list[str]) -> None:
        raise DataError("no images\nin the folder")

    assert main("search", DOC, action, argv=[]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "error: no images in the folder\n")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(AssertionError):
        main("search", DOC, nothing, argv=[])


def test_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    def action(words: list[str]) -> None:
        raise KeyboardInterrupt

    assert main("search", DOC, action, argv=[]) == 130
    assert capsys.readouterr().err == "interrupted: the same command resumes where it stopped\n"


def test_a_reader_that_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Broken())
    assert main("search", DOC, nothing, argv=["--help"]) == 141
    assert capsys.readouterr().err == ""


def test_a_real_pipe_that_breaks_is_quiet() -> None:
    code = (
        "from fewshot_core.recipe.cli import main\n"
        "def action(words):\n"
        "    for _ in range(100000): print('line')\n"
        "raise SystemExit(main('x', '', action, argv=[]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), errors) == (141, b"")


def test_only_the_main_process_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert main("search", DOC, nothing, argv=["--help"]) == 0

    def action(words: list[str]) -> None:
        raise RecipeError("wrong")

    assert main("search", DOC, action, argv=[]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "2"}, False),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),
    ],
)
def test_main_process(environ: dict[str, str], expected: bool) -> None:
    assert is_main_process(environ) is expected


# --- words of other tools

ALLOWED = {
    "run": Path,
    "truth": Path | None,
    "column": "score",
    "top": 10,
    "share": 0.5,
    "plot": False,
    "title": None,
}


def test_words_take_the_type_of_the_default() -> None:
    words = ["run=a=b", "top=3", "share=1e-2", "plot=yes", "title=5", "truth=x.csv"]
    assert parse_words(words, ALLOWED) == {
        "run": Path("a=b"),
        "truth": Path("x.csv"),
        "column": "score",
        "top": 3,
        "share": 0.01,
        "plot": True,
        "title": "5",
    }


def test_of_a_word_given_twice_the_last_counts() -> None:
    values = parse_words(["run=a", "top=x", "run=b", "top=3"], ALLOWED)
    assert (values["run"], values["top"]) == (Path("b"), 3)


def test_words_left_out_take_the_default() -> None:
    values = parse_words(["run=a"], ALLOWED)
    assert values["truth"] is None
    assert values["title"] is None
    assert (values["column"], values["top"], values["plot"]) == ("score", 10, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["column=x"], "run= is missing"),
        (["run=a", "colum=x"], "unknown setting 'colum' (did you mean 'column'?)"),
        (["run=a", "zzz=x"], "known: run, truth, column"),
        (["run=a", "top=x"], "top=x is not a whole number"),
        (["run=a", "share=x"], "share=x is not a number"),
        (["run=a", "plot=x"], "plot=x is not true or false"),
        (["run="], "run= is empty, a path is needed"),
        (["run=~/a"], "the shell did not replace ~"),
        (["--run", "a"], "write run=a instead of --run a"),
    ],
)
def test_words_that_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_words(words, ALLOWED)
    assert message in str(caught.value)


def test_wrong_words_are_gathered() -> None:
    with pytest.raises(RecipeError, match=r"top=x.*; .*plot=y.*; run= is missing"):
        parse_words(["top=x", "plot=y"], ALLOWED)
