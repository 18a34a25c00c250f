from __future__ import annotations

import io

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
