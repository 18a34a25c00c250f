"""The picture of the README, drawn from the files of results.

    python docs/_site/overview.py    # writes docs/pictures/overview.svg

A test holds the picture against the files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "pictures" / "overview.svg"

WIDTH, LEFT, RIGHT, TOP, STEP = 480, 172, 456, 64, 38
LARGEST = 0.8

ROWS = (
    ("random scores", "random (mean of 5)"),
    ("counting parameters", "parameters, connected part"),
    ("NASWOT, untrained", "naswot"),
    ("a supernet", "one-shot, by loss"),
    ("five sub-supernets", "few-shot, 5 regions, by loss"),
    ("supernet + counting", "rank ensemble: one-shot, by loss"),
)
"""What a row is called, and its key in the figures."""

STYLE = """  <style>
    .drawing { --ink: #24292f; --soft: #57606a; --line: #b6bec7;
      --blue: #1f6fb5; --orange: #b3541e; }
    @media (prefers-color-scheme: dark) {
      .drawing { --ink: #e6edf3; --soft: #a5b0bb; --line: #55606c;
        --blue: #79b8f3; --orange: #f0a469; }
    }
    .drawing text { font: 15px system-ui, sans-serif; fill: var(--ink); }
    .drawing .soft { fill: var(--soft); font-size: 14px; }
    .drawing .line { fill: none; stroke: var(--line); stroke-width: 1.5; }
    .drawing .dot { fill: var(--blue); }
    .drawing .ring { fill: none; stroke: var(--orange); stroke-width: 3; }
  </style>"""


def read_figures() -> dict[str, tuple[float, float]]:
    """Tau over all cells of NAS-Bench-201, and among those of equal cost, by key of the row."""
    lab = _figures("ranking_lab")["predictors"]
    found = {key: lab[key] for _, key in ROWS if key in lab}
    arms = _figures("ranking")["arms"]
    (naswot,) = (arm for arm in arms if arm["arm"] == "naswot" and arm["cells"] == 15625)
    score = naswot["figures"]["cifar10"]["score"]
    found["naswot"] = {name: mean for name, (mean, _) in score.items()}
    return {key: (row["tau"], row["iso_cost_tau"]) for key, row in found.items()}


def _figures(name: str) -> Any:
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["figures"]


def draw(figures: dict[str, tuple[float, float]]) -> str:
    """An SVG for light and dark pages: a row for each predictor, with its two taus."""
    height = TOP + STEP * len(ROWS) + 36
    bottom = TOP + STEP * len(ROWS) - 14
    title = "Kendall's tau of six predictors, over all cells and among cells of equal cost"
    parts = [
        '<svg class="drawing narrow" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">',
        STYLE,
        f'  <circle cx="{LEFT + 2}" cy="20" r="7" class="dot"/>',
        f'  <text x="{LEFT + 14}" y="25">all 15,625 cells</text>',
        f'  <circle cx="{LEFT + 152}" cy="20" r="6" class="ring"/>',
        f'  <text x="{LEFT + 164}" y="25">cells of equal cost</text>',
    ]
    for tick in range(5):
        value = tick * LARGEST / 4
        parts.append(f'  <path class="line" stroke-dasharray="2 4" d="M{_x(value)} 40 V{bottom}"/>')
        label = f"{value:.1f}"
        parts.append(
            f'  <text x="{_x(value)}" y="{bottom + 20}" class="soft" text-anchor="middle">'
            f"{label}</text>"
        )
    middle = (LEFT + RIGHT) // 2
    parts.append(
        f'  <text x="{middle}" y="{bottom + 42}" class="soft" text-anchor="middle">'
        "Kendall's tau: 1 is the true order, 0 is chance</text>"
    )
    for index, (name, key) in enumerate(ROWS):
        tau, iso = (max(0.0, value) for value in figures[key])
        y = TOP + STEP * index
        parts += [
            f'  <text x="{LEFT - 16}" y="{y + 5}" text-anchor="end">{name}</text>',
            f'  <path class="line" d="M{_x(iso)} {y} H{_x(tau)}"/>',
            f'  <circle cx="{_x(tau)}" cy="{y}" r="7" class="dot"/>',
            f'  <circle cx="{_x(iso)}" cy="{y}" r="6" class="ring"/>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _x(value: float) -> int:
    return round(LEFT + (RIGHT - LEFT) * value / LARGEST)


if __name__ == "__main__":
    PICTURE.write_text(draw(read_figures()), encoding="utf-8")
