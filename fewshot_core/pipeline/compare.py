"""Compare: read the folders of runs, and show and write what they came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.compare_words import Asked
from fewshot_core.report import comparison_tables as tables
from fewshot_core.report.account import with_unit
from fewshot_core.report.canvas import save_png, themed_svg
from fewshot_core.report.comparison import Comparison, compare
from fewshot_core.report.plots import test_results
from fewshot_core.report.results_of_run import RunResult, UnfinishedError, read_result
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import write_text
from fewshot_core.runs.launch import world_size

TEXTS: dict[str, Callable[[Comparison], str]] = {
    "csv": tables.csv_text,
    "values": tables.csv_of_runs,
    "markdown": tables.markdown_text,
    "latex": tables.latex_text,
}
"""What writes the file that a word names."""


@dataclass(frozen=True)
class Values:
    """A group as a picture has it."""

    name: str
    values: list[float]


def compare_runs(asked: Asked) -> Comparison:
    """Compare the runs that the words name; print the tables and write the files.

    Raises:
        FewshotError: There is nothing to compare, runs are about different things, or one is
            damaged.
    """
    if world_size() > 1:
        raise RecipeError(
            "this tool uses one process",
            found=f"{world_size()} processes",
            fix="start it without accelerate launch",
        )
    left_out, results = list(asked.unfinished), list[RunResult]()
    for run in asked.runs:
        try:
            results.append(read_result(run))
        except UnfinishedError as error:
            left_out.append(error.what)
    found, console = compare(results, left_out), Console()
    title = "What was found"
    console.print(tables.terminal_table(title, tables.results_cells(found)))
    console.print(tables.terminal_table("What a run costs", tables.cost_cells(found)))
    for note in tables.notes(found):
        console.print(note)
    for key, path in asked.files.items():
        if key in TEXTS:
            write_text(path, TEXTS[key](found))
        elif path.suffix == ".svg":
            write_text(path, themed_svg(draw(found)))
        else:
            save_png(draw(found), path.parent, path.stem)
        console.print(f"written: {path}")
    return found


def draw(comparison: Comparison) -> Figure:
    """The value of every seed, with mean and standard deviation of every group."""
    if comparison.tests:
        kind, part = comparison.tests[0], "test"
        rows = [(row, row.group.tests(kind.metric.name)) for row in comparison.rows]
    else:
        kind, part = comparison.score, "validation"
        rows = [(row, row.group.scores) for row in comparison.rows if not row.notes]
    shown = [Values(row.group.name, [*values.values()]) for row, values in rows if values]
    return test_results(shown, with_unit(f"{part} {kind.text}", kind.metric))
