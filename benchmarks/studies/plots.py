"""What pictures of studies share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from fewshot_core.report.canvas import INK


def draw_baselines(panel: Axes, values: Mapping[str, float], **style: Any) -> None:
    """Draw a line across the panel for each value, with its name at the right end."""
    for name, value in values.items():
        panel.axhline(value, color=INK, linewidth=0.8, alpha=0.6, **style)
        panel.annotate(
            name,
            (1, value),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            ha="right",
            va="bottom",
        )
