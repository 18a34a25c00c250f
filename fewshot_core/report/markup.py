"""Pieces of a self-contained HTML page: escaped tables, inline SVG, and the style sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from rich.table import Table
from rich.text import Text

from fewshot_core.report.canvas import BLUE, INK

CSS = """
:root{color-scheme:light dark;--ink:#1f2429;--soft:#59636e;--line:#d1d9e0;--paper:#fff;
--box:#f6f8fa;--good:#1a7f37;--bad:#b04a00;--blue:#0072b2}
@media (prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa4ae;--line:#3a424b;
--paper:#14171b;--box:#1c2127;--good:#4cc26a;--bad:#f0964a;--blue:#4ea8e0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:72rem;background:var(--paper);
color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .2rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);
padding-bottom:.2rem}
p{max-width:48rem;margin:.5rem 0}
.soft,figcaption,.hint,.note{color:var(--soft)}
.hint{font-style:italic}
.summary{font-size:1.08rem}
.verdict{border-left:5px solid var(--bad);background:var(--box);padding:.6rem 1rem;
margin:1rem 0;max-width:52rem}
.verdict.good{border-color:var(--good)}
.verdict strong{color:var(--bad)}
.verdict.good strong{color:var(--good)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
.note{font-size:.9rem}
th,td{padding:.3rem .9rem .3rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--line)}
th{font-weight:600}
td.number,th.number{text-align:right;white-space:nowrap}
.mark td{font-weight:600}
code,pre{font:.86rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
td code{display:block;overflow-wrap:break-word}
td code.long{min-width:19rem}
figcaption{overflow-wrap:anywhere}
pre{background:var(--box);padding:.7rem .9rem;overflow-x:auto;border-radius:4px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));
gap:1.6rem 2rem}
figure{margin:0;max-width:40rem;break-inside:avoid}
figure svg{display:block;width:100%;height:auto;color:var(--ink)}
figure svg *{stroke-linejoin:round;stroke-linecap:butt}
figcaption{font-size:.9rem;margin-top:.4rem}
details summary{cursor:pointer}
a{color:inherit}
@media print{body{max-width:none;padding:0;font-size:11pt}h2{break-after:avoid}
table,.verdict{break-inside:avoid}pre{white-space:pre-wrap}a{text-decoration:none}}
""".strip()

LONG = 40
"""Code with more characters than this keeps some width on narrow screens."""

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
    return f"<figure>{drawn}<figcaption>{_breakable(caption)}</figcaption></figure>"


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
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def from_rich(source: Table) -> str:
    """A table made for the terminal."""
    columns = [[_plain(cell) for cell in column.cells] for column in source.columns]
    header = [_plain(column.header) for column in source.columns]
    caption = _plain(source.caption) if source.caption else ""
    return table(header, list(zip(*columns, strict=True)), caption=caption)


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain


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
    kind = ' class="long"' if len(text) > LONG else ""
    return f"<code{kind}>{_breakable(text)}</code>"


def _breakable(text: str) -> str:
    """Escaped text that may break between the parts of a genotype, which is one long word."""
    return re.sub(r"(?<=[|,])(?=\S)", "<wbr>", escape(text))
