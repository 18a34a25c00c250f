"""Pieces of a self-contained HTML page: escaped tables and inline SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from fewshot_core.report.canvas import BLUE, INK
from fewshot_core.runs.console import FittedTable

LONG = 40
"""Code with more characters than this is folded."""

BROAD = 2.2
"""A picture this many times as wide as it is high gets the width of the page, as samples do."""

LARGEST = 2.0
"""Times that a picture may be larger than it was drawn."""

WIDEST = 640
"""Pixels of the widest picture in a column, as the style sheet has it."""

START = 24
"""Characters of folded code that can be seen."""

Cell = str | int | float | None


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """An SVG that can stand beside others in one page.

    Its ids get a prefix, style sheets that would reach the whole page are dropped, and what has
    the colour of ink takes the colour of the page's text; dots of full blue are lost on black.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\sid=")', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace(INK, "currentColor").replace(BLUE.lower(), "var(--blue)")
    attributes, _, rest = svg.partition(">")
    attributes = re.sub(r'\s(role|aria-label)="[^"]*"', "", attributes)
    return f'{attributes} role="img" aria-label="{escape(label)}">{rest}'


def figure(svg: str, prefix: str, caption: str) -> str:
    """A picture with its caption."""
    drawn = inline_svg(svg, prefix, caption)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    broad = size is not None and float(size[1]) > BROAD * float(size[2])
    kind = ' class="broad"' if broad else ""
    if size is not None and LARGEST * float(size[1]) < WIDEST:  # a small drawing is not a poster
        kind += f' style="--most:{LARGEST * float(size[1]):.0f}px"'
    return f"<figure{kind}>{drawn}<figcaption>{_breakable(caption)}</figcaption></figure>"


def section(title: str, *parts: str) -> str:
    """A part of the page under its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>\n"


def hint(text: str, command: str = "") -> str:
    """A remark, and the command that it is about."""
    shown = f" <code>{escape(command)}</code>" if command else ""
    return f'<p class="hint">{escape(text)}{shown}</p>'


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    code: Sequence[int] = (),
    caption: str = "",
    marked: int | None = None,
) -> str:
    """A table; columns whose every cell is a number, or starts like one, are set to the right.

    Args:
        code: Columns set as code.
        caption: A sentence below.
        marked: Index of a row to stress.
    """
    texts = [["" if cell is None else _text(cell) for cell in row] for row in rows]
    right = {
        column
        for column in range(len(header))
        if column not in code and all(re.match(r"[−-]?\d|$|n/a", row[column]) for row in texts)
    }
    parts = [f'<div class="wide"><table><thead>{_row(header, right, (), "th")}</thead><tbody>']
    for index, row in enumerate(texts):
        parts.append(_row(row, right, code, "td", ' class="mark"' if index == marked else ""))
    # No <caption>: in a table wider than the screen it would not fit the screen either.
    note = f'<p class="note">{escape(caption)}</p>' if caption else ""
    return "".join([*parts, "</tbody></table></div>", note])


def facts_table(pairs: Iterable[tuple[str, Cell]]) -> str:
    """Names and values, two columns without a header; pairs without a value are left out."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_text(value))}</td></tr>'
        for name, value in pairs
        if value not in (None, "")
    )
    return f'<div class="wide facts"><table><tbody>{rows}</tbody></table></div>'


def from_terminal(source: FittedTable) -> str:
    """A table made for the terminal."""
    return table(source.header, source.rows, caption=source.caption)


def _text(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _row(
    cells: Sequence[str], right: set[int], code: Sequence[int], tag: str, attributes: str = ""
) -> str:
    parts = [f"<tr{attributes}>"]
    for column, cell in enumerate(cells):
        kind = ' class="number"' if column in right else ""
        text = _code(cell) if column in code else escape(cell)
        parts.append(f"<{tag}{kind}>{text}</{tag}>")
    return "".join([*parts, "</tr>"])


def _code(text: str) -> str:
    """Set as code; what is long is folded, so that rows stay rows on a narrow screen."""
    if len(text) <= LONG:
        return f"<code>{_breakable(text)}</code>"
    return (
        f'<details class="fold"><summary><code>{escape(text[:START])}…</code></summary>'
        f'<code class="long">{_breakable(text)}</code></details>'
    )


def _breakable(text: str) -> str:
    """Escaped text that may break between the parts of a genotype, which is one long word."""
    return re.sub(r"(?<=[|,])(?=\S)", "<wbr>", escape(text))
