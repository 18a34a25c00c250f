"""Killing a tool while it is in a certain stage of a run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .process import Running

ATTEMPTS = 6
"""A loaded machine may let a stage slip by between a look at the folder and the kill."""

Stage = Callable[[Path], bool]


def states(run: Path, part: str) -> dict[str, dict[str, Any]]:
    found = {}
    for path in (run / part).glob("*/state.json"):
        found[path.parent.name] = json.loads(path.read_text())
    return found


def under_way(state: dict[str, Any]) -> bool:
    return state["step"] >= 2 and not state["done"]


def in_parent(run: Path) -> bool:
    found = states(run, "checkpoints")
    return list(found) == ["root"] and under_way(found["root"])


def in_region(run: Path) -> bool:
    found = states(run, "checkpoints")
    return len(found) > 1 and any(under_way(s) for s in found.values()) and found["root"]["done"]


def kill_in(stage: Stage, tool: str, words: list[str], folder: Path, *, real: bool = False) -> bool:
    """Kill the tool in a stage; whether it was really in it when it died."""
    process = Running(tool, words, folder, real=real)
    while process.alive() and not stage(folder / "run"):
        time.sleep(0.003)
    process.kill()
    done = process.wait()
    assert done.code in (-9, 0), done.err
    return done.code == -9 and stage(folder / "run")


def killed_in(
    stage: Stage, tool: str, words: list[str], base: Path, start: Path | None, *, real: bool = False
) -> Path:
    """A folder with a run that was killed in the stage; ``start`` is copied there first."""
    for attempt in range(ATTEMPTS):
        folder = base / str(attempt)
        folder.mkdir()
        if start is not None:
            shutil.copytree(start, folder / "run")
        if kill_in(stage, tool, words, folder, real=real):
            return folder
    raise AssertionError(f"{tool} could not be killed {stage.__name__} in {ATTEMPTS} attempts")
