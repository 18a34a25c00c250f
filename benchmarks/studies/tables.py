"""Tables of benchmarks: mean and spread, for the terminal and for the docs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

WIDTH = 150
"""Columns of a table on the terminal, at most."""

Spread = tuple[float | None, float | None]
"""Mean and sample standard deviation; None where there is none."""


@dataclass(frozen=True)
class Table:
    """Lines of texts below a header; the first column is text, the others are numbers."""

    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]

    def show(self) -> None:
        """Print the table on the terminal."""
        grid = Grid(title=escape(self.title))
        for place, name in enumerate(self.header):
            grid.add_column(escape(name), justify="right" if place else "left")
        for line in self.lines:
            grid.add_row(*map(escape, line))
        Console(width=WIDTH, highlight=False).print(grid)

    def markdown(self) -> str:
        """Write the table for the docs, without its title."""
        rule = ["---", *(["---:"] * (len(self.header) - 1))]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.header, rule, *self.lines))


def spread(values: Iterable[float | None]) -> Spread:
    """Mean and deviation of the values that there are; one alone has no deviation."""
    there = [value for value in values if value is not None]
    if not there:
        return None, None
    return statistics.fmean(there), statistics.stdev(there) if len(there) > 1 else None


def spread_text(value: Sequence[float | None], digits: int) -> str:
    """``93.07 ± 0.21``, or nothing."""
    mean, deviation = value
    if mean is None:
        return ""
    return f"{mean:.{digits}f}" + (f" ± {deviation:.{digits}f}" if deviation is not None else "")
