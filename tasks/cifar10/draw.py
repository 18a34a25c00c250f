"""A cell as a picture."""

from __future__ import annotations

from html import escape

from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.darts import DartsSpace
from fewshot_tasks.cifar10.graph import GraphSpace
from fewshot_tasks.cifar10.space import CellSpace

# Readable on white and on black, and told apart by the colour-blind; the labels say it anyway.
COLOURS = {
    "skip_connect": "#7a7a7a",
    "nor_conv_1x1": "#2a7fc0",
    "nor_conv_3x3": "#cc5200",
    "avg_pool_3x3": "#0b8f66",
}
LABELS = {
    "skip_connect": "skip",
    "nor_conv_1x1": "conv 1×1",
    "nor_conv_3x3": "conv 3×3",
    "avg_pool_3x3": "avg pool 3×3",
}
GRAPH_COLOURS = {
    "conv1x1-bn-relu": "#2a7fc0",
    "conv3x3-bn-relu": "#cc5200",
    "maxpool3x3": "#0b8f66",
}
GRAPH_LABELS = {
    "conv1x1-bn-relu": "conv 1×1",
    "conv3x3-bn-relu": "conv 3×3",
    "maxpool3x3": "max pool 3×3",
}
DARTS_COLOURS = {
    "max_pool_3x3": "#0b8f66",
    "avg_pool_3x3": "#5f8a00",
    "skip_connect": "#7a7a7a",
    "sep_conv_3x3": "#cc5200",
    "sep_conv_5x5": "#b03a6f",
    "dil_conv_3x3": "#2a7fc0",
    "dil_conv_5x5": "#6a55c2",
}
ROW, WIDE = 44, 360
STEP, RADIUS, MARGIN = 170, 22, 20
LIFT = 62
"""An edge over k nodes rises by about k times this; neighbours are joined by straight lines."""
CURVE = 0.75 * 1.5
"""How far an arc really rises: a cubic reaches 3/4 of its control points' 1.5 times."""
TEXT = 24
"""Room for a label above or below the outermost arc."""


def cell_svg(space: CellSpace, architecture: Architecture) -> str:
    """Nodes in a row, edges as labelled arcs.

    What lies on no path from input to output computes nothing that counts: it is dashed and faint.
    Nodes and text have the colour of the surrounding text, so that dark pages can show it.
    """
    connected = space.connected(architecture)
    live = connected.choices if connected is not None else ("none",) * len(space.edges)
    middle = round((space.nodes - 2) * LIFT * CURVE) + RADIUS + TEXT
    width = (space.nodes - 1) * STEP + 2 * (MARGIN + RADIUS)
    height = middle + round(max(0, space.nodes - 3) * LIFT * CURVE) + RADIUS + TEXT
    parts = [
        _opening(width, height),
        f"<title>{escape(f'cell {space.genotype(architecture)}')}</title>",
        _markers(),
    ]
    used = {0, space.nodes - 1}
    for (target, source), operation, alive in zip(
        space.edges, architecture.choices, live, strict=True
    ):
        if operation != "none":
            parts.append(_edge(source, target, str(operation), alive != "none", middle))
        if alive != "none":
            used |= {source, target}
    for node in range(space.nodes):
        parts.append(_node(node, space.nodes, node in used, middle))
    if connected is None:
        parts.append(_text(width / 2, 24, "no path from input to output", "currentColor"))
    return "".join([*parts, "</svg>"])


def graph_svg(space: GraphSpace, architecture: Architecture) -> str:
    """Nodes in a row, labelled with their operations, and an arrow from every parent.

    What does not reach the output is dashed and faint.
    """
    cell = space.cell(architecture)
    live = {0, *cell.live(), cell.output}
    nodes = cell.output + 1
    middle = round((nodes - 2) * LIFT * CURVE) + RADIUS + TEXT
    width = (nodes - 1) * STEP + 2 * (MARGIN + RADIUS)
    height = middle + RADIUS + 2 * TEXT
    parts = [
        _opening(width, height),
        f"<title>{escape(f'cell {space.genotype(architecture)}')}</title>",
        f"<defs>{_marker('parent', 'currentColor')}</defs>",
    ]
    for target, parents in enumerate(cell.parents, start=1):
        for source in parents:
            path, _, _ = _curve(source, target, middle, above=True)  # labels are below
            faint = "" if target in live else ' opacity="0.4" stroke-dasharray="5 5"'
            parts.append(
                f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.8" '
                f'marker-end="url(#head-parent)"{faint}/>'
            )
    for node in range(nodes):
        parts.append(_node(node, nodes, node in live, middle))
        if 0 < node < cell.output:
            operation = cell.operations[node - 1]
            colour = GRAPH_COLOURS[operation]
            opacity = 1.0 if node in live else 0.5
            place = (_x(node), middle + RADIUS + 18)
            parts.append(_text(*place, GRAPH_LABELS[operation], colour, opacity))
    return "".join([*parts, "</svg>"])


def darts_svg(space: DartsSpace, architecture: Architecture) -> str:
    """Both cells, a row for each node: its two edges, each with its operation, into the node.

    Text has the colour of what surrounds it; operations have colours of their own.
    """
    parts, y = [], 0
    for kind, pairs in space.cells(architecture).items():
        y += 34
        title = {"normal": "normal cell", "reduce": "reduction cell"}[kind]
        parts.append(f'<text x="{MARGIN}" y="{y}" fill="currentColor">{title}</text>')
        for number, pair in enumerate(pairs):
            y += ROW
            for place, (operation, source) in enumerate(pair):
                x = MARGIN + place * WIDE
                name = ("previous but one", "previous")[source] if source < 2 else str(source - 1)
                colour = DARTS_COLOURS[operation]
                parts += [
                    _box(x, y, 128, name),
                    f'<path d="M{x + 128} {y} L{x + 280} {y}" stroke="{colour}" stroke-width="2.5" '
                    f'fill="none" marker-end="url(#head-{operation})"/>',
                    _text(x + 204, y - 7, operation.replace("_", " "), colour),
                ]
            x = MARGIN + 284
            parts.append(_box(x, y, 36, str(number + 1)))
            parts.append(_box(x + WIDE, y, 36, str(number + 1)))
        y += 10
    width, height = MARGIN * 2 + WIDE + 320, y + 24
    heads = "".join(_marker(name, colour) for name, colour in DARTS_COLOURS.items())
    return "".join(
        [
            _opening(width, height),
            f"<title>{escape(f'cells {space.genotype(architecture)}')}</title>",
            f"<defs>{heads}</defs>",
            *parts,
            "</svg>",
        ]
    )


def _opening(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="14" role="img">'
    )


def _box(x: float, y: float, width: float, text: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y - 13:g}" width="{width:g}" height="26" rx="6" fill="none" '
        'stroke="currentColor" stroke-width="1.5"/>'
    ) + _text(x + width / 2, y + 5, text, "currentColor")


def _x(node: int) -> int:
    return MARGIN + RADIUS + node * STEP


def _markers() -> str:
    heads = "".join(_marker(name, colour) for name, colour in COLOURS.items())
    return f"<defs>{heads}</defs>"


def _marker(name: str, colour: str) -> str:
    return (
        f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6.5" '
        f'markerHeight="6.5" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
    )


def _curve(
    source: int, target: int, middle: int, *, above: bool = False
) -> tuple[str, float, float]:
    """The path of an arrow between two nodes, and where its label stands.

    Edges from odd nodes pass below, so that labels do not lie on each other, unless ``above``.
    """
    span = target - source
    below = span > 1 and source % 2 == 1 and not above
    start, end = _x(source), _x(target)
    if span == 1:
        x1, x2 = start + RADIUS, end - RADIUS - 2
        return f"M{x1} {middle} L{x2} {middle}", (x1 + x2) / 2, middle - 8
    down = 1 if below else -1
    x1, x2, y = start + 10, end - 12, middle + down * (RADIUS - 3)
    rise = down * (span - 1) * LIFT
    peak = y + rise * 1.5
    path = f"M{x1} {y} C{x1 + 40} {peak:g}, {x2 - 40} {peak:g}, {x2} {y}"
    return path, (x1 + x2) / 2, round(y + rise * CURVE) + (18 if below else -8)


def _edge(source: int, target: int, operation: str, alive: bool, middle: int) -> str:
    path, x, y = _curve(source, target, middle)
    colour = COLOURS[operation]
    dash = "" if alive else ' stroke-dasharray="5 5"'
    line = (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
        f'marker-end="url(#head-{operation})"{dash}/>'
    )
    label = _text(x, y, LABELS[operation], colour)
    return f"{line}{label}" if alive else f'<g opacity="0.5">{line}{label}</g>'


def _node(node: int, nodes: int, used: bool, middle: int) -> str:
    name = {0: "in", nodes - 1: "out"}.get(node, str(node))
    faint = "" if used else ' opacity="0.4" stroke-dasharray="4 4"'
    return (
        f'<circle cx="{_x(node)}" cy="{middle}" r="{RADIUS}" fill="none" stroke="currentColor" '
        f'stroke-width="1.8"{faint}/>'
    ) + _text(_x(node), middle + 5, name, "currentColor", 1.0 if used else 0.5)


def _text(x: float, y: float, text: str, colour: str, opacity: float = 1.0) -> str:
    faint = f' opacity="{opacity}"' if opacity < 1 else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{colour}"{faint}>{text}</text>'
