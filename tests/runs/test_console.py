from __future__ import annotations

import io

import pytest
from rich.console import Console as RichConsole

from fewshot_core.runs.console import PLAIN_WIDTH, Console, FittedTable


def test_names_are_no_markup_and_a_line_stays_one() -> None:
    buffer = io.StringIO()
    console = Console(rich=RichConsole(file=buffer, width=40, highlight=False))
    line = "left out of /my/[red]/[/b]/" + "images " * 20 + "end"
    console.print(line)
    with console.progress("[red] [/b]", 2) as tick:
        tick(2, "[/i]")
    assert buffer.getvalue().splitlines()[0] == line
    assert "[red] [/b]: 2/2" in buffer.getvalue()
    assert buffer.getvalue().rstrip().endswith("[/i]")


def test_in_a_notebook_lines_are_plain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as kernels do
    console = Console()
    with console.progress("training", 2) as tick:
        tick(1)
        tick(2)
    console.print("[red] a line", "and more")
    training, line = capsys.readouterr().out.splitlines()
    assert training.startswith("training: 2/2, 0 s")
    assert line == "[red] a line and more"


def test_a_width_that_is_set_counts_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    for columns in ("80", "200", None):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        widths.append(Console().rich.width)
    assert widths == [80, 200, PLAIN_WIDTH]


def test_terminals_get_sentences_that_are_broken_between_words() -> None:
    buffer = io.StringIO()
    console = Console(rich=RichConsole(file=buffer, width=40, highlight=False, force_terminal=True))
    path = "/a/long/path" * 6
    command = "next: fewshot retrain run=runs/somewhere trial=3 retrain.epochs=40"
    console.print("  nothing is known of its test result, which nobody has seen")
    console.print(f"report: {path}", "and [red] more")
    console.print(command)
    assert buffer.getvalue().splitlines() == [
        "  nothing is known of its test result,",
        "    which nobody has seen",
        "report:",
        f"  {path}",
        "  and [red] more",
        command,
    ]


@pytest.mark.parametrize("width", [24, 60, 80, 200])
def test_tables_fit_and_nothing_is_cut(width: int) -> None:
    header = ["runs", "images: supernets", "hours of training", "genotype"]
    rows = [["strategy=random search.trials=4", "1,234,567", "0.25", "[red]|none~0|+[/b]"]]
    buffer = io.StringIO()
    Console(rich=RichConsole(file=buffer, width=width)).print(FittedTable("Cost", header, rows))
    lines = buffer.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    said = "".join(buffer.getvalue().split())
    letters = sorted("".join([*header, *rows[0], "Cost"]).replace(" ", ""))
    assert sorted(said.replace("─", "")) == letters
    if width >= 60:
        words = buffer.getvalue().split()
        assert {"strategy=random", "search.trials=4", "supernets", "1,234,567"} <= {*words}
