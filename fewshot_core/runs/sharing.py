"""Supernets that another run has trained: its checkpoints, without a second copy of the bytes.

Only the files come from there. Whether they are of such supernets as this run would train is asked
when it starts (:func:`fewshot_core.runs.origin.check_origin`).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import link_or_copy, read_json, write_json
from fewshot_core.runs.folder import CHECKPOINTS
from fewshot_core.runs.origin import ORIGIN

SHARED = "shared.json"
"""The file among the checkpoints that says whose they were."""


def share_checkpoints(source: Path, target: Path) -> bool:
    """Give a run that has none yet the checkpoints of another one.

    They are hard links where the file system has them, and copies elsewhere: files of checkpoints
    are replaced and never changed, so neither run sees what the other one does. All are there, or
    none.

    Args:
        source: The folder of the run that trained the supernets.
        target: The folder of the run that is to have them.

    Returns:
        Whether they were taken over: not where the target has begun, or the source has none.

    Raises:
        RunFolderError: They cannot be read or written.
    """
    theirs, mine = source / CHECKPOINTS, target / CHECKPOINTS
    if (target / "recipe.yaml").exists() or mine.exists() or not (theirs / ORIGIN).is_file():
        return False
    beside = target / f".{CHECKPOINTS}.part"
    try:
        shutil.rmtree(beside, ignore_errors=True)  # of a process that was killed
        target.mkdir(parents=True, exist_ok=True)
        skipped = shutil.ignore_patterns(".*")
        shutil.copytree(theirs, beside, copy_function=_link, ignore=skipped)
        (beside / SHARED).unlink(missing_ok=True)  # it is the source's own, and not to be changed
        write_json(beside / SHARED, {"from": os.path.relpath(source, target)})
        os.replace(beside, mine)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise RunFolderError(
            f"the supernets of {source} cannot be taken over into {target}",
            found=error.strerror or str(error)[:120],
        ) from None
    return True


def sharer_of(run: Path) -> Path | None:
    """The run that trained the supernets of a run; None: it did so itself."""
    path = run / CHECKPOINTS / SHARED
    if not path.is_file():
        return None
    found = read_json(path, "delete it: it only says where the supernets are from")
    if not isinstance(found, dict) or not isinstance(found.get("from"), str):
        raise RunFolderError(f"{path} is damaged", fix="delete it")
    return run / str(found["from"])


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))
