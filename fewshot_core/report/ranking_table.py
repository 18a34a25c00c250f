"""Rank figures as a table for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fewshot_core.runs.console import FittedTable
from fewshot_core.trust.ranking import RankFigures

_COLUMNS = (
    "predictor",
    "tau",
    "tau\ndistinct",
    "iso-cost\ntau",
    "upper\nhalf",
    "rho",
    "tau top\n10 %",
    "tau top\n1 %",
    "true score of\npredicted best",
    "ties",
)


def ranking_table(rows: Mapping[str, RankFigures], equality: str) -> FittedTable:
    """One row per predictor (name -> figures), in the given order.

    Args:
        rows: Figures by the name of the predictor.
        equality: What the groups of equal cost are, in words, for the caption.
    """
    cells = [[name, *_cells(figures)] for name, figures in rows.items()]
    header = [column.replace("\n", " ") for column in _COLUMNS]
    return FittedTable("", header, cells, numbers=True, caption=_caption(rows, equality))


def ranking_markdown(rows: Mapping[str, RankFigures], equality: str) -> str:
    """The table of :func:`ranking_table` as Markdown text that ends with a line break."""
    lines = [
        _markdown_row([column.replace("\n", " ") for column in _COLUMNS]),
        _markdown_row(["---", *["---:"] * (len(_COLUMNS) - 1)]),
        *(
            _markdown_row([name.replace("|", r"\|"), *_cells(figures)])
            for name, figures in rows.items()
        ),
    ]
    caption = _caption(rows, equality)
    if caption:
        lines += ["", caption]
    return "\n".join(lines) + "\n"


def _cells(figures: RankFigures) -> list[str]:
    correlations = (
        figures.tau,
        figures.tau_distinct,
        figures.iso_cost_tau,
        figures.upper_tau,
        figures.spearman,
        figures.tau_top10,
        figures.tau_top1,
    )
    return [*map(_correlation, correlations), _best(figures), str(figures.best_ties)]


def _correlation(value: float) -> str:
    if math.isnan(value):
        return "n/a"
    return f"{value:z.3f}"  # z: a tiny negative number is not "-0.000"


def _score(value: float) -> str:
    return f"{value:.4g}"


def _best(figures: RankFigures) -> str:
    """The mean over ties, with their range, because the mean alone hides a lottery."""
    text = _score(figures.best_true)
    if figures.best_true_low != figures.best_true_high:
        text += f" ({_score(figures.best_true_low)} to {_score(figures.best_true_high)})"
    return text


def _caption(rows: Mapping[str, RankFigures], equality: str) -> str:
    """What the rows were measured on, when it is the same for all; else nothing."""
    shared = {
        (
            row.count,
            row.distinct_count,
            row.best_possible,
            row.iso_cost_count,
            row.iso_cost_groups,
            row.upper_count,
            row.upper_groups,
        )
        for row in rows.values()
    }
    if len(shared) != 1:
        return ""
    count, distinct, best, *equal = shared.pop()
    text = f"{count} architectures, {distinct} distinct networks; best true score {_score(best)}."
    iso_count, iso_groups, upper_count, upper_groups = equal
    return (
        f"{text} Iso-cost ({equality}): {iso_count} in {iso_groups} groups, {upper_count} in"
        f" {upper_groups} of the upper half by cost."
    )


def _markdown_row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
