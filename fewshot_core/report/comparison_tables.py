"""A comparison as tables: for the terminal, and as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from fewshot_core.report.account import with_unit
from fewshot_core.report.comparison import Comparison, Group, Row
from fewshot_core.report.results_of_run import PARTS, Kind
from fewshot_core.runs.console import FittedTable
from fewshot_core.trust.paired import FEW, Paired

TEST_NAME = "paired t-test, two-sided, over common seeds"

Cells = tuple[list[str], list[list[str]]]
"""Header and rows of a table."""

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "<": "$<$",
    "—": "---",
}


def results_cells(comparison: Comparison) -> Cells:
    """What was found: values with their spread, and differences to the first group."""
    tests = comparison.tests
    score = with_unit(f"validation {comparison.score.text}", comparison.score.metric)
    header = ["runs", "seeds", score]
    header += [with_unit(f"test {kind.text}", kind.metric) for kind in tests]
    header += ["difference", "p", "parameters", "FLOPs"]
    rows = []
    for row in comparison.rows:
        group = row.group
        cells = [group.name, str(len(group.runs)), _marked(row, _spread(group.scores.values()))]
        cells += [_tested(group, kind) for kind in tests]
        paired, p = decisive(row, comparison)
        cells += [_difference(paired), _p(paired, p)]
        cells += [_amount(group, lambda one: one.params), _amount(group, lambda one: one.flops)]
        rows.append(cells)
    return header, rows


def cost_cells(comparison: Comparison) -> Cells:
    """What a run of each group was trained with: images by part, and hours of training."""
    header = ["runs", *(f"images: {part}" for part in PARTS), "images in all", "hours of training"]
    rows = []
    for row in comparison.rows:
        images = [row.group.images(part) for part in PARTS]
        numbers = [f"{number:,.0f}" for number in (*images, sum(images))]
        rows.append([row.group.name, *numbers, f"{row.group.hours:.3g}"])
    return header, rows


def notes(comparison: Comparison) -> list[str]:
    """What a reader has to know of the tables, a sentence or two each."""
    first, *others = comparison.rows
    found = ["Values: mean ± standard deviation over the seeds of a group."]
    if comparison.tests:
        seeds = {one.retrain_seeds for row in comparison.rows for one in row.group.runs} - {0}
        each = " or ".join(str(number) for number in sorted(seeds))
        several = "" if seeds == {1} else f"; of a run the mean of {each} trainings"
        found.append(
            f"Test values: the network that each search found, retrained from scratch{several}."
        )
    if others:
        what = comparison.tests[0].text if comparison.tests else comparison.score.text
        part = "test" if comparison.tests else "validation"
        better = _kind(comparison).metric.better
        found.append(
            f"Difference: to {first.group.name}, of the {part} {what} ({better} is better), with "
            f"its 95 % interval; p: {TEST_NAME}"
            + (", corrected by Holm for the number of groups." if len(others) > 1 else ".")
        )
    for row in others:
        paired, _ = decisive(row, comparison)
        if paired is None:
            continue
        if not paired.tested:
            found.append(f"{row.group.name}: not tested, {paired.why}.")
        elif paired.seeds < FEW:
            found.append(
                f"{row.group.name}: with {paired.seeds} common seeds only a large difference can "
                "show."
            )
    for row in others:
        found += [f"* {row.group.name}: {note}." for note in row.notes]
    total = sum(sum(run.images.values()) for row in comparison.rows for run in row.group.runs)
    really = comparison.trained_images
    shared = "" if really == total else f" Supernets that runs share were trained once: {really:,}"
    found.append(
        "Cost: training images that a run has seen, mean over the seeds; trainings: those from "
        "scratch that scored or chose; retraining: of the network found."
        + (shared + f" images in all, and not {total:,}." if shared else "")
    )
    return found + [f"Left out: {line}." for line in comparison.left_out]


def decisive(row: Row, comparison: Comparison) -> tuple[Paired | None, float]:
    """The difference that counts, of the test value where there is one, and its p value."""
    if comparison.tests:
        return row.of_test, row.p_test
    return row.of_score, row.p_score


def terminal_table(title: str, cells: Cells) -> FittedTable:
    """The cells for a terminal; what does not fit is folded and never cut."""
    return FittedTable(title, *cells, numbers=True)


def csv_text(comparison: Comparison) -> str:
    """A line for each group, with plain numbers; what is not known is empty."""
    tests = comparison.tests
    header = ["runs", "seeds", *_three(f"validation {comparison.score.metric.name}")]
    for kind in tests:
        header += _three(f"test {kind.metric.name}")
    for what in ("validation", "test"):
        header += [f"{what} {name}" for name in ("difference", "low", "high", "common seeds", "p")]
    header += ["parameters", "flops", *(f"images {part}" for part in PARTS), "training hours"]
    rows = []
    for row in comparison.rows:
        group = row.group
        cells: list[object] = [group.name, " ".join(str(one.recipe.seed) for one in group.runs)]
        cells += _figures([*group.scores.values()])
        for kind in tests:
            cells += _figures([*group.tests(kind.metric.name).values()])
        for paired, p in ((row.of_score, row.p_score), (row.of_test, row.p_test)):
            cells += [""] * 5 if paired is None else _of_paired(paired, p)
        cells += [statistics.mean(one.params for one in group.runs)]
        cells += [statistics.mean(one.flops for one in group.runs)]
        cells += [group.images(part) for part in PARTS]
        rows.append([*cells, group.hours])
    return _csv(header, rows)


def csv_of_runs(comparison: Comparison) -> str:
    """A line for each run, from which the other tables can be computed."""
    tests = comparison.tests
    header = ["group", "run", "seed", "genotype", f"validation {comparison.score.metric.name}"]
    header += [f"test {kind.metric.name}" for kind in tests]
    header += ["parameters", "flops", *(f"images {part}" for part in PARTS), "training hours"]
    rows: list[list[object]] = []
    for row in comparison.rows:
        for one in row.group.runs:
            known: list[object] = [row.group.name, one.run, one.recipe.seed, one.genotype]
            known += ["" if one.score is None else one.score]
            known += [one.test.get(kind.metric.name, "") for kind in tests]
            known += [one.params, one.flops, *(one.images[part] for part in PARTS)]
            rows.append([*known, sum(one.seconds.values()) / 3600])
    return _csv(header, rows)


def markdown_text(comparison: Comparison) -> str:
    """Both tables and their notes."""
    parts = [_markdown(results_cells(comparison)), _markdown(cost_cells(comparison))]
    parts.append("\n".join(f"- {_escape_bar(note)}" for note in _plain_notes(comparison)))
    return "\n\n".join(parts) + "\n"


def latex_text(comparison: Comparison) -> str:
    """Both tables as ``tabular`` with the rules of booktabs, and their notes as comments."""
    parts = [_latex(results_cells(comparison)), _latex(cost_cells(comparison))]
    comments = "\n".join(f"% {note}" for note in notes(comparison))
    return "\n\n".join(["% needs \\usepackage{booktabs}", comments, *parts]) + "\n"


# -- cells -------------------------------------------------------------------------------------


def _kind(comparison: Comparison) -> Kind:
    return comparison.tests[0] if comparison.tests else comparison.score


def _spread(values: Iterable[float]) -> str:
    known = [*values]
    if not known:
        return "—"
    digits = 2 if max(abs(value) for value in known) >= 10 else 4
    mean = f"{statistics.mean(known):.{digits}f}"
    text = mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.{digits}f}"
    return text.replace("-", "−")


def _tested(group: Group, kind: Kind) -> str:
    values = group.tests(kind.metric.name)
    few = f" ({len(values)})" if 0 < len(values) < len(group.runs) else ""
    return _spread(values.values()) + few


def _marked(row: Row, text: str) -> str:
    return f"{text} *" if row.notes else text


def _difference(paired: Paired | None) -> str:
    if paired is None or math.isnan(paired.mean):
        return "—"
    digits = 2 if abs(paired.mean) >= 0.1 else 4
    text = f"{paired.mean:+.{digits}f}"
    if paired.tested:
        text += f" [{paired.low:.{digits}f}, {paired.high:.{digits}f}]"
    return text.replace("-", "−")


def _p(paired: Paired | None, p: float) -> str:
    if paired is None or math.isnan(p):
        return "—"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _amount(group: Group, look: Callable[..., float]) -> str:
    return f"{statistics.mean(look(one) for one in group.runs):,.0f}"


# -- forms -------------------------------------------------------------------------------------


def _three(name: str) -> list[str]:
    return [f"{name} mean", f"{name} sd", f"{name} n"]


def _figures(values: Sequence[float]) -> list[object]:
    if not values:
        return ["", "", 0]
    spread = statistics.stdev(values) if len(values) > 1 else ""
    return [statistics.mean(values), spread, len(values)]


def _of_paired(paired: Paired, p: float) -> list[object]:
    numbers = (paired.mean, paired.low, paired.high, paired.seeds, p)
    return ["" if math.isnan(number) else number for number in numbers]


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _escape_bar(text: str) -> str:
    return text.replace("|", "\\|")


def _plain_notes(comparison: Comparison) -> list[str]:
    return [note.removeprefix("* ") for note in notes(comparison)]


def _markdown(cells: Cells) -> str:
    header, rows = cells
    rule = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, rule, *rows]
    return "\n".join("| " + " | ".join(_escape_bar(cell) for cell in line) + " |" for line in lines)


def _latex(cells: Cells) -> str:
    header, rows = cells

    def line(row: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\"

    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            line(header),
            r"\midrule",
            *map(line, rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
