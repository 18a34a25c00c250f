"""Supernets that another run has trained: its checkpoints, without a second copy of the bytes.

Two kinds of runs have them, and both live on without the other run. Files are hard links where the
file system has them, and copies elsewhere: files of checkpoints are replaced and never changed, so
neither run sees what the other one does.

- A search ``from=DIR`` takes those of its own regions from a run anywhere that has trained them to
  their end (:func:`require_trained`, :func:`take_over`). ``reused.json`` says where they are from.
- A run of a sweep begins with all checkpoints of the run beside it, however far they are
  (:func:`share_checkpoints`). Whether they are of its own supernets it asks when it starts, as of
  any that it finds (:func:`fewshot_core.runs.origin.check_origin`). ``shared.json`` among them has
  the way to that run, which stays right when the sweep is moved.

:func:`trainer_of` answers for both who has trained them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.checkpoint import StageCheckpoint
from fewshot_core.runs.files import link_or_copy, read_json, write_copy, write_json
from fewshot_core.runs.folder import CHECKPOINTS, RunFolder
from fewshot_core.runs.origin import ORIGIN, require_origin
from fewshot_core.runs.places import REUSED
from fewshot_core.spaces.region import Region

SHARED = "shared.json"
"""The file among the checkpoints of a sweep's run that says whose they were."""


@dataclass(frozen=True)
class Reused:
    """Where the supernets of a run are from.

    Attributes:
        source: The folder of the run that was named, as it was then. Nothing is read from there.
        trained: The folder of the run that has trained them, where that one had them from another.
        recipe: The name of its recipe.
        date: When they were taken over.
        supernets: How many.
        images: Training images seen by them all. That was paid once, by the run that trained them.
    """

    source: str
    trained: str
    recipe: str
    date: str
    supernets: int
    images: int

    @property
    def sentence(self) -> str:
        """Where they are from, for reports and cards; without paths of a machine."""
        source, trained = Path(self.source).name, Path(self.trained).name
        first = "" if self.trained == self.source else f", which had them from `{trained}`"
        return (
            f"The supernets were not trained in this run: they are those of the run `{source}`"
            f"{first} ({self.images:,} images seen there)."
        )


def read_reused(run: Path) -> Reused | None:
    """Where the supernets of the run at ``run`` are from; None: it has trained them.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = run / REUSED
    if not path.is_file():
        return None
    found = read_json(path)
    try:
        return Reused(**found)
    except TypeError as error:
        raise RunFolderError(
            f"{path} is damaged", found=error, fix="restore it, or delete it and lose where from"
        ) from None


def require_trained(folder: RunFolder, regions: list[Region], mine: dict[str, Any]) -> None:
    """Require of the run that ``folder.source`` names that it has the supernets of these regions.

    Args:
        folder: The folder of the new run.
        regions: Those whose supernets it uses.
        mine: What :func:`fewshot_core.runs.origin.origin` says of the new run.

    Raises:
        RunFolderError: They are others, or their training has not ended.
    """
    source = folder.source
    assert source is not None
    go_on = f"fewshot search run={source} trains them; the same command again uses them then"
    if not (source / CHECKPOINTS / ORIGIN).is_file():
        raise RunFolderError(f"from={source} has no supernets yet", fix=go_on)
    require_origin(
        source / CHECKPOINTS,
        mine,
        f"train others: leave from={source} out, and start a run with recipe=NAME",
    )
    for region in regions:
        state = _checkpoint(source, folder, region).state()
        if not (state.done or state.diverged):
            raise RunFolderError(
                f"from={source} has a supernet that is not trained to its end",
                found=region.id,
                fix=go_on,
            )


def take_over(folder: RunFolder, regions: list[Region], recipe: str) -> Reused:
    """Bring the supernets of ``folder.source`` into ``folder``; what is there already stays.

    Args:
        folder: The folder of the new run.
        regions: Those whose supernets it uses.
        recipe: The name of the recipe of the other run.
    """
    source = folder.source
    assert source is not None
    images = count = 0
    for region in regions:
        theirs, mine = _checkpoint(source, folder, region), folder.checkpoint(region).folder
        state = theirs.state()
        if state.file and not state.diverged:
            link_or_copy(theirs.folder / state.file, mine / state.file)
            count += 1
        images += state.images
        write_copy(mine / "state.json", theirs.folder / "state.json")
    write_copy(folder.file(CHECKPOINTS, ORIGIN), source / CHECKPOINTS / ORIGIN)
    before, here = read_reused(source), os.path.abspath(source)
    reused = Reused(
        source=here,
        trained=here if before is None else before.trained,
        recipe=recipe,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        supernets=count,
        images=images,
    )
    write_json(folder.file(REUSED), asdict(reused))
    return reused


def share_checkpoints(source: Path, target: Path) -> bool:
    """Give a run that has none yet the checkpoints of another one: all of them, or none.

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
        skipped = shutil.ignore_patterns(".*", SHARED)
        shutil.copytree(theirs, beside, copy_function=_link, ignore=skipped)
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
    """The run of the same sweep that trained the supernets of a run; None: no other one did.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = run / CHECKPOINTS / SHARED
    if not path.is_file():
        return None
    found = read_json(path, "delete it: it only says where the supernets are from")
    if not isinstance(found, dict) or not isinstance(found.get("from"), str):
        raise RunFolderError(f"{path} is damaged", fix="delete it")
    return run / str(found["from"])


def trainer_of(run: Path) -> Path | None:
    """The folder of the run that trained the supernets of a run; None: it did so itself.

    Of a search ``from=DIR`` it is the folder as it was then.

    Raises:
        RunFolderError: A file is damaged.
    """
    reused = read_reused(run)
    return sharer_of(run) if reused is None else Path(reused.trained)


def _link(source: str, target: str) -> None:
    link_or_copy(Path(source), Path(target))


def _checkpoint(source: Path, folder: RunFolder, region: Region) -> StageCheckpoint:
    name = folder.checkpoint(region).folder.relative_to(folder.path)
    return StageCheckpoint(source / name, writes=False)
