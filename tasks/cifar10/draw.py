"""A cell as a picture."""

from __future__ import annotations

from fewshot_core.space import Architecture
from tasks.cifar10.space import CellSpace

COLOURS = {
    "skip_connect": "#7a7a7a",
    "nor_conv_1x1": "#2a78b5",
    "nor_conv_3x3": "#c2452d",
    "avg_pool_3x3": "#3f8f4f",
}
LABELS = {
    "skip_connect": "skip",
    "nor_conv_1x1": "conv 1x1",
    "nor_conv_3x3": "conv 3x3",
    "avg_pool_3x3": "avg pool 3x3",
}
STEP, RADIUS, MARGIN = 170, 22, 40


def cell_svg(space: CellSpace, architecture: Architecture) -> str:
    """Nodes in a row, edges as labelled arcs; edges that cannot reach the output are dashed."""
    connected = space.connected(architecture)
    live = connected.choices if connected is not None else ("none",) * len(space.edges)
    width = (space.nodes - 1) * STEP + 2 * (MARGIN + RADIUS)
    # An edge over k nodes rises by k times this; neighbours are joined by straight lines.
    lift = 62
    middle = (space.nodes - 2) * lift + 70
    height = middle + (space.nodes - 2) * lift // 2 + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="13" role="img">',
        _markers(),
    ]
    for (target, source), operation, alive in zip(
        space.edges, architecture.choices, live, strict=True
    ):
        if operation != "none":
            parts.append(_edge(source, target, str(operation), alive != "none", middle, lift))
    for node in range(space.nodes):
        parts.append(_node(node, space.nodes, middle))
    return "".join([*parts, "</svg>"])


def _x(node: int) -> int:
    return MARGIN + RADIUS + node * STEP


def _markers() -> str:
    heads = "".join(
        f'<marker id="head-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{colour}"/></marker>'
        for name, colour in COLOURS.items()
    )
    return f"<defs>{heads}</defs>"


def _edge(source: int, target: int, operation: str, alive: bool, middle: int, lift: int) -> str:
    span = target - source
    # Edges from odd nodes pass below, so that edges of equal span do not lie on each other.
    below = span > 1 and source % 2 == 1
    start, end = _x(source), _x(target)
    rise = (span - 1) * lift * (-1 if below else 1)
    offset = 0 if span == 1 else (RADIUS - 4) * (1 if below else -1)
    inset = RADIUS if span == 1 else 10
    x1, x2, y = start + inset, end - inset - 2, middle + offset
    peak = y - rise * 1.5
    path = f"M{x1} {y} C{x1 + 40} {peak}, {x2 - 40} {peak}, {x2} {y}"
    if span == 1:
        path = f"M{x1} {y} L{x2} {y}"
    label_y = y - rise * 1.125 + (-7 if not below else 16)
    dash = "" if alive else ' stroke-dasharray="5 5" opacity="0.35"'
    faint = "" if alive else ' opacity="0.45"'
    colour = COLOURS[operation]
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.5" '
        f'marker-end="url(#head-{operation})"{dash}/>'
        f'<text x="{(x1 + x2) / 2}" y="{label_y}" text-anchor="middle" fill="{colour}"{faint}>'
        f"{LABELS[operation]}</text>"
    )


def _node(node: int, nodes: int, middle: int) -> str:
    name = {0: "in", nodes - 1: "out"}.get(node, str(node))
    return (
        f'<circle cx="{_x(node)}" cy="{middle}" r="{RADIUS}" fill="#ffffff" stroke="#333333" '
        f'stroke-width="1.8"/><text x="{_x(node)}" y="{middle + 5}" text-anchor="middle" '
        f'fill="#222222" font-size="15">{name}</text>'
    )
