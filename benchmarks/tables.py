"""Tables of benchmarks: mean and spread, for the terminal and for the docs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from rich.table import Table

Spread = tuple[float | None, float | None]
"""Mean and sample standard deviation; None where there is none."""


def spread(values: Iterable[float | None]) -> Spread:
    """Of the values that there are; one alone has no deviation."""
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


def grid(title: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """For the terminal: the first column is text, the others are numbers."""
    table = Table(title=title)
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left")
    for line in lines:
        table.add_row(*line)
    return table


def pipes(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """The same in Markdown."""
    rows = [header, ["---", *(["---:"] * (len(header) - 1))], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
