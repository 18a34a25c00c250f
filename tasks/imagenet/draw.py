"""A mobile network as a picture."""

from __future__ import annotations

from html import escape

from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.space import MobileSpace

# Readable on white and on black, and told apart by the colour-blind; the labels say it anyway.
COLOURS = ("#2a7fc0", "#0b8f66", "#cc5200", "#8a5cb8", "#7a7a7a")
WIDTH, GAP, MARGIN = 34, 6, 16
BETWEEN = 20
"""Further room between units."""
UNIT = 14
"""Pixels for one step of expansion."""


def network_svg(space: MobileSpace, architecture: Architecture) -> str:
    """Blocks in a row from the input to the output, unit by unit.

    A block is as high as its expansion; its colour is its kernel size, which stands in it. Below
    each unit stand its width in channels and its stride. Text has the colour of what surrounds it,
    so that dark pages can show it.
    """
    units = space.units(architecture)
    blocks = [block for unit in units for _, block in unit]
    kernels = sorted({b.kernel for places in space.every_slot() for slot in places for b in slot})
    base = MARGIN + 20 + UNIT * max((block.expansion for block in blocks), default=1)
    parts, x = [], MARGIN
    for unit, chosen in zip(space.skeleton.units, units, strict=True):
        left = x
        for _, (kernel, expansion, groups) in chosen:
            height = UNIT * max(expansion, 1)
            colour = COLOURS[kernels.index(kernel) % len(COLOURS)]
            middle = x + WIDTH / 2
            parts += [
                f'<rect x="{x}" y="{base - height}" width="{WIDTH}" height="{height}" rx="3" '
                f'fill="{colour}"/>',
                _text(middle, base - height / 2 + 5, str(kernel), "#ffffff"),
            ]
            if expansion:  # a plain convolution has none
                label = f"e{expansion}" + (f" g{groups}" if groups > 1 else "")
                parts.append(_text(middle, base - height - 5, label, size=11))
            x += WIDTH + GAP
        stride = f", /{unit.stride}" if unit.stride > 1 else ""
        parts.append(_text((left + x - GAP) / 2, base + 18, f"{unit.width}{stride}"))
        x += BETWEEN
    width, height = x - BETWEEN - GAP + MARGIN, base + 30
    title = escape(f"network {space.genotype(architecture)}")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="sans-serif" role="img">',
            f"<title>{title}</title>",
            *parts,
            "</svg>",
        ]
    )


def _text(x: float, y: float, text: str, colour: str = "currentColor", size: int = 13) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{colour}" font-size="{size}" '
        f'text-anchor="middle">{escape(text)}</text>'
    )
