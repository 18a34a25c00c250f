from __future__ import annotations

import io

import pytest
from rich.console import Console as RichConsole

from fewshot_core.runs.console import Console


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
