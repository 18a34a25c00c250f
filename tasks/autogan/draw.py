"""A generator as a picture."""

from __future__ import annotations

from html import escape

from fewshot_core.spaces.space import Architecture
from fewshot_tasks.autogan.network import sources_of
from fewshot_tasks.autogan.space import BLOCKS, NORMS, UPSAMPLINGS, GeneratorSpace

WIDTH, HEIGHT, GAP, MARGIN, ARC = 150, 118, 70, 20, 52
ORDERS = {
    "pre": "{norm}ReLU, conv 3×3",
    "post": "conv 3×3, {norm}ReLU",
}
NORM_NAMES = {"none": "", "batch": "batch norm, ", "instance": "instance norm, "}
BLUE, ORANGE = "#0072b2", "#cc5200"


def generator_svg(space: GeneratorSpace, architecture: Architecture) -> str:
    """Cells in a row; shortcuts below them, and what later cells read of earlier ones above."""
    cells = space.of_cells(architecture)
    top = MARGIN + ARC * max(1, len(cells) - 1)
    width = 2 * (MARGIN + 58) + len(cells) * WIDTH + (len(cells) + 1) * GAP
    height = top + HEIGHT + 60
    title = f"generator {space.genotype(architecture)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="13" role="img">',
        f"<title>{escape(title)}</title><defs>{_head('ink', 'currentColor')}"
        f"{_head('skip', BLUE)}{_head('short', ORANGE)}</defs>",
    ]
    middle = top + HEIGHT / 2
    parts.append(_text(MARGIN + 26, middle + 4, "noise"))
    for place, cell in enumerate(cells):
        parts += _cell(place, cell, top)
    end = _left(len(cells))
    parts.append(_arrow(end - GAP + 4, end - 6, middle))
    parts.append(_text(end + 34, middle - 2, "norm, ReLU,"))
    parts.append(_text(end + 34, middle + 15, "conv, tanh"))
    return "".join([*parts, "</svg>"])


def _left(place: int) -> int:
    return MARGIN + 58 + GAP + place * (WIDTH + GAP)


def _cell(place: int, cell: tuple[int, ...], top: int) -> list[str]:
    x, middle = _left(place), top + HEIGHT / 2
    block, up = BLOCKS[cell[0]], UPSAMPLINGS[cell[2]]
    line = ORDERS[block].format(norm=NORM_NAMES[NORMS[cell[1]]])
    lines = [f"cell {place + 1}", f"{up} ×2", *line.split(", "), "two blocks"]
    parts = [
        _arrow(x - GAP + 4, x - 6, middle),
        f'<rect x="{x}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="none" '
        'stroke="currentColor" stroke-width="1.8"/>',
    ]
    step = HEIGHT / (len(lines) + 0.6)
    for number, text in enumerate(lines):
        weight = ' font-weight="600"' if number == 0 else ""
        parts.append(_text(x + WIDTH / 2, top + (number + 0.95) * step, text, extra=weight))
    if cell[3]:
        y, low = top + HEIGHT, top + HEIGHT + 30
        parts.append(
            f'<path d="M{x - 24} {middle} L{x - 24} {low} L{x + WIDTH + 24} {low} '
            f'L{x + WIDTH + 24} {middle + 4}" fill="none" stroke="{ORANGE}" stroke-width="2" '
            'marker-end="url(#head-short)"/>'
        )
        parts.append(_text(x + WIDTH / 2, y + 46, "shortcut", colour=ORANGE))
    for source in sources_of(place, cell):
        start, end = _left(source) + WIDTH / 2, x + WIDTH / 2 - 14 * (place - source)
        peak = top - ARC * (place - source)
        parts.append(
            f'<path d="M{start:g} {top} C{start:g} {peak}, {end:g} {peak}, {end:g} {top - 3}" '
            f'fill="none" stroke="{BLUE}" stroke-width="2" marker-end="url(#head-skip)"/>'
        )
        parts.append(_text((start + end) / 2, top - 0.75 * (top - peak) - 6, "skip", colour=BLUE))
    return parts


def _head(name: str, colour: str) -> str:
    return (
        f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" '
        f'markerHeight="6.5" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
    )


def _arrow(start: float, end: float, y: float) -> str:
    return (
        f'<path d="M{start} {y} L{end} {y}" stroke="currentColor" stroke-width="1.8" '
        'marker-end="url(#head-ink)"/>'
    )


def _text(x: float, y: float, text: str, colour: str = "currentColor", extra: str = "") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{colour}"{extra}>'
        f"{escape(text)}</text>"
    )
