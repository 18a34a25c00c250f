"""Which stage a run is in, by the states that its trainings have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def states(run: Path, part: str) -> dict[str, dict[str, Any]]:
    """The state of every training in this folder of a run, by its name."""
    found = {}
    for path in (run / part).glob("*/state.json"):
        found[path.parent.name] = json.loads(path.read_text())
    return found


def under_way(state: dict[str, Any]) -> bool:
    """Whether a training has begun and not ended."""
    return state["step"] >= 2 and not state["done"]


def in_parent(run: Path) -> bool:
    """Whether the parent is being trained."""
    found = states(run, "checkpoints")
    return list(found) == ["root"] and under_way(found["root"])
