"""What supernets were trained with: kept beside their checkpoints, so that these can be copied.

Launches that share a study train the same supernets. Where that is expensive, the folder
``checkpoints`` of one run is copied to another before that one starts (docs/clusters.md).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from fewshot_core.errors import RunFolderError
from fewshot_core.recipe.changes import Change, change_of
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.runs.folder import CHECKPOINTS, RunFolder

ORIGIN = "origin.json"


def origin(recipe: Recipe, precision: str, images: str) -> dict[str, Any]:
    """Everything that the weights of a run's supernets depend on, as flat JSON.

    Args:
        recipe: The recipe of the run.
        precision: The precision that it is computed in.
        images: The digest of its inventory.
    """
    flat = {
        key: value
        for key, value in flatten(dataclasses.asdict(recipe)).items()
        if change_of(key, recipe) is Change.SUPERNETS
    }
    return flat | {"precision": precision, "images": images}


def check_origin(folder: RunFolder, mine: dict[str, Any]) -> None:
    """Require that the checkpoints that a new run finds are of such supernets as its own.

    Raises:
        RunFolderError: They are not, or do not say.
    """
    path = folder.file(CHECKPOINTS)
    if folder.file("recipe.yaml").exists() or not path.exists() or not any(path.iterdir()):
        return
    fix = (
        f"copy {CHECKPOINTS} of a run with the same settings and images, or choose another run=DIR"
    )
    require_origin(path, mine, fix)


def require_origin(path: Path, mine: dict[str, Any], fix: str) -> None:
    """Require that a folder of checkpoints is of such supernets as ``mine`` says.

    Args:
        path: The folder.
        mine: What :func:`origin` says.
        fix: What to do where it is not.

    Raises:
        RunFolderError: It is not, or does not say.
    """
    theirs = read_json(path / ORIGIN, fix)
    if not isinstance(theirs, dict):
        raise RunFolderError(f"{path / ORIGIN} is damaged", fix=fix)
    differing = [
        f"{key}: {theirs.get(key)!r} -> {mine.get(key)!r}"
        for key in {**theirs, **mine}
        if theirs.get(key) != mine.get(key)
    ]
    if differing:
        raise RunFolderError(
            f"{path} holds supernets that were trained otherwise",
            found="; ".join(differing[:4]) + (" ..." if len(differing) > 4 else ""),
            fix=fix,
        )


def write_origin(folder: RunFolder, mine: dict[str, Any]) -> None:
    """Say what the supernets of a new run are trained with."""
    path = folder.file(CHECKPOINTS, ORIGIN)
    if folder.writes and not path.exists():
        write_json(path, mine)
