"""What all pictures of a report share: size, style, outliers at the edge, and files."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewshot_core.runs.files import write_atomic, write_text

INK = "#1f2429"
"""Of text and axes. A page may replace it by its own text colour."""
BLUE, ORANGE = "#0072B2", "#D55E00"
LINES = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DARK_INK = "#e4e8ec"
"""Of text and axes on a dark page."""
THEMES = f"svg{{--ink:{INK}}}@media(prefers-color-scheme:dark){{svg{{--ink:{DARK_INK}}}}}"
SIZE = (5.6, 3.5)
DPI = 160
RASTER = 1500
"""With more dots than this an SVG carries them as pixels, or it would weigh megabytes."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fewshot-nas",  # the same picture is the same file
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "axes.titlesize": 9.5,
    "axes.labelsize": 10.0,
    "legend.fontsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.8,
} | dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"),
    INK,
)

Values = NDArray[np.float64]

styled = matplotlib.rc_context(STYLE)
"""Decorator: the style holds inside the function and not a moment longer."""


class ShownFigure(Figure):
    """A figure that shows itself in a notebook, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


@styled
def new_figure(panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of the common size with panels in a row that share the vertical axis."""
    figure = ShownFigure(SIZE, layout="constrained", facecolor="white")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)
    return figure, list(axes[0])


@styled
def dots(
    axes: Axes,
    x: Values,
    y: Values,
    colour: str,
    label: str,
    *,
    lowest: float | None,
    leftmost: float | None = None,
    size: float = 18,
    alpha: float = 0.55,
) -> None:
    """Dots; those outside the axes lie on its edge as hollow triangles, with a word about them."""
    outside = np.zeros(x.size, dtype=bool)
    for values, limit in ((x, leftmost), (y, lowest)):
        if limit is not None:
            outside |= values < limit
    raster = x.size > RASTER
    inside = ~outside
    axes.scatter(
        x[inside],
        y[inside],
        s=size,
        c=colour,
        alpha=alpha,
        linewidths=0,
        label=label or None,
        rasterized=raster,
    )
    if outside.any():
        edge_x = x[outside] if leftmost is None else np.maximum(x[outside], leftmost)
        edge_y = y[outside] if lowest is None else np.maximum(y[outside], lowest)
        note = f"{outside.sum()} below the axis" if label else None
        axes.scatter(
            edge_x,
            edge_y,
            s=max(size, 22),
            marker="v",
            facecolors="none",
            edgecolors=colour,
            clip_on=False,
            zorder=3,
            label=note,
            rasterized=raster,
        )
        if not label:
            axes.text(
                0.99,
                0.02,
                f"{outside.sum()} outside the axes",
                transform=axes.transAxes,
                horizontalalignment="right",
                fontsize=8,
            )


@styled
def with_legend(figure: Figure, axes: Axes, columns: int = 4) -> Figure:
    """Above the axes, where no data can be."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns)
    return figure


def fence(values: Values) -> float | None:
    """Where an axis starts so that a few failures do not press everything else into a line."""
    low, high = np.quantile(values, [0.25, 0.75])
    least = low - 3 * (high - low)
    if high == low or values.min() >= least:
        return None
    inside = values[values >= least]
    return float(inside.min() - 0.08 * (inside.max() - inside.min()))


@styled
def svg_text(figure: Figure, *, transparent: bool = False) -> str:
    """The figure as SVG text without a prologue, ready for a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)


def themed_svg(figure: Figure) -> str:
    """The figure as a file for light and dark pages: its ink is that of the reader's theme."""
    text = svg_text(figure, transparent=True).replace(INK, "var(--ink)")
    head, end, rest = text.partition(">")
    return f"{head}{end}\n<style>{THEMES}</style>{rest}"


@styled
def save_picture(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.svg`` and ``name.png`` whole."""
    write_text(folder / f"{name}.svg", svg_text(figure))
    save_png(figure, folder, name)


def save_png(figure: Figure, folder: Path, name: str) -> None:
    """Write ``name.png`` whole, and nothing else."""
    write_atomic(
        folder / f"{name}.png", lambda beside: figure.savefig(beside, format="png", dpi=DPI)
    )
