"""A run as a notebook shows it: a small table and a picture, in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from html import escape
from typing import TYPE_CHECKING

from fewshot_core.api.values import Network, Results
from fewshot_core.recipe.schema import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text has the colour of the notebook around it. The blue can be read on white and on black.
STYLE = (
    "--blue:#2f8fd0;color:inherit;background:transparent;max-width:44rem;line-height:1.45;"
    "font-variant-numeric:tabular-nums"
)
CELL = "text-align:left;vertical-align:top;padding:.15rem .9rem .15rem 0;background:transparent"

Rows = Sequence[tuple[str, str]]


def describe(recipe: Recipe, trials: int, best: Network | None, results: Results | None) -> Rows:
    """What to say of a run: names and texts; a row without a name goes with the one above.

    Args:
        recipe: Its settings.
        trials: How many there are.
        best: What was found; None: the search has not ended.
        results: What was retrained; None: nothing.
    """
    rows = [
        ("recipe", f"{recipe.recipe}: {recipe.description}".removesuffix(": ")),
        ("trials", f"{trials:,} of {recipe.search.trials:,}"),
    ]
    if best is None:
        rows += [("state", "the search has not ended; the same call of search goes on")]
    else:
        score = [] if best.score is None else [f"score {best.score:.4g}"]
        measured = [f"{name} {value:.4g}" for name, value in best.metrics.items()]
        flops, params = (best.costs[f"connected_{name}"] for name in ("flops", "params"))
        limits = {key: value for key, value in vars(recipe.constraint).items() if value is not None}
        rows += [
            ("found", best.genotype),
            ("", ", ".join([*score, *measured])),
            ("", f"{flops:,.0f} FLOPs, {params:,.0f} parameters"),
            ("limits", ", ".join(f"{key} {value:,g}" for key, value in limits.items())),
        ]
    if results is not None:
        first, *others = str(results).splitlines()
        rows += [("retrained", first), *(("", line) for line in others)]
    return [(name, text) for name, text in rows if text]


def render(title: str, rows: Rows, figure: Figure | None) -> str:
    """HTML that needs nothing from outside.

    Args:
        title: Stands above.
        rows: What :func:`describe` says.
        figure: Stands below.
    """
    cells = "".join(
        f'<tr style="background:transparent"><th style="{CELL};font-weight:600">{escape(name)}</th>'
        f'<td style="{CELL};overflow-wrap:anywhere">{escape(text)}</td></tr>'
        for name, text in rows
    )
    table = f'<table style="border-collapse:collapse;margin:.3rem 0"><tbody>{cells}</tbody></table>'
    drawn = "" if figure is None else _inline(figure, title)
    return f'<div style="{STYLE}"><strong>{escape(title)}</strong>{table}{drawn}</div>'


def _inline(figure: Figure, title: str) -> str:
    from fewshot_core.report.canvas import svg_text
    from fewshot_core.report.markup import inline_svg

    svg = svg_text(figure, transparent=True)
    # Several runs stand in one notebook, and ids are those of the whole page.
    prefix = "r" + blake2b(f"{title} {svg}".encode(), digest_size=5).hexdigest()
    return inline_svg(svg, prefix, f"score against FLOPs of the trials of {title}")
