"""Which run folder a tool is about, and whether there is one. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewshot_core.errors import RunFolderError

REUSED = "reused.json"
"""The file that says where the supernets of a run are from, where another run has trained them."""

RUNS = Path("runs")
"""Where runs are that nobody has named a folder for."""


def find_named_run(options: Mapping[str, Any]) -> Path:
    """The folder that ``run=DIR`` or ``recipe=NAME`` names.

    Raises:
        RunFolderError: Neither is given, or there is no run.
    """
    run: Path | None = options["run"]
    if run is None:
        if not options["recipe"]:
            raise RunFolderError("which run?", allowed="run=DIR, or recipe=NAME for runs/NAME")
        run = RUNS / options["recipe"]
    require_run(run)
    return run


def require_run(path: Path) -> Path:
    """The recipe of the run at ``path``.

    Raises:
        RunFolderError: There is no run.
    """
    recipe = path / "recipe.yaml"
    if not recipe.is_file():
        known = sorted(p.parent.as_posix() for p in path.parent.glob("*/recipe.yaml"))
        raise RunFolderError(
            f"{path} is no run folder: it has no recipe.yaml",
            allowed=", ".join(known) or None,
            fix="run fewshot search first, or name another run=DIR",
        )
    return recipe
