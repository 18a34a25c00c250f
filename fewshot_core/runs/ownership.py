"""Which folders are ours: those with a marker of ours, while they hold what it lists.

The marker, ``.fewshot-nas.json``, has the SHA-256 of every file that we wrote. A folder may be
replaced while it holds these files and no others; anything else is somebody's work and is left.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import sha256

MARKER = ".fewshot-nas.json"
CACHE = "__pycache__"
SHOWN = 4
"""Names of files in a message."""
READS = 100
"""Of a folder that other processes replace meanwhile."""


def require_replaceable(target: Path, place: Path) -> None:
    """Raise unless ``place`` is free, empty, or a folder of ours that nobody has changed.

    Args:
        target: What to call it.
        place: Its absolute path, without links but for the last part.

    Raises:
        RunFolderError: It is not, with the names of the files that are not ours.
        OSError: It cannot be read.
    """
    another = "choose another folder, or move what is there"
    if place.is_symlink():
        fix = "name the folder it leads to, or choose another one"
        raise RunFolderError(f"{target} is a symbolic link", found=os.readlink(place), fix=fix)
    if not place.exists():
        return
    if not place.is_dir():
        raise RunFolderError(f"{target} is a file, not a folder", fix=another)
    if os.path.ismount(place):
        raise RunFolderError(f"{target} is a mount point", fix="choose a folder inside it")
    if Path.cwd().is_relative_to(place):
        raise RunFolderError(
            f"{target} is the folder that the program runs in, or above it",
            found=Path.cwd(),
            fix="choose a folder of its own, such as ./export",
        )
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise RunFolderError(f"{target} may not be replaced", found="no permission", fix=another)
    listed, found = _read(place)
    if not found:
        return
    shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" * (len(found) > SHOWN))
    if listed is None:
        raise RunFolderError(
            f"{target} is not a folder that this program wrote: it is left as it is",
            found=shown,
            fix=another,
        )
    raise RunFolderError(
        f"{target} holds files that were added or changed: it is left as it is",
        found=shown,
        fix="move these files, or choose another folder",
    )


def _read(place: Path) -> tuple[dict[str, str] | None, list[str]]:
    """What the marker lists, and what is not ours, both of one folder.

    Another process may put its own in the place while this one reads.
    """
    for _ in range(READS):
        try:
            before = place.stat().st_ino
            listed, found = read_marker(place), strangers(place)
            if place.stat().st_ino == before:
                return listed, found
        except FileNotFoundError:
            if not place.exists():
                return {}, []
    raise busy(place)


def strangers(folder: Path) -> list[str]:
    """Names, relative to ``folder``, of what is not ours: not in its marker, or changed since.

    Raises:
        OSError: It cannot be read.
    """
    listed = read_marker(folder) or {}
    return [n for n in names_in(folder) if not _is_ours(folder, n, listed)]


def names_in(folder: Path) -> list[str]:
    """Everything below a folder, relative to it; what links lead to is not entered."""
    found = []

    def fail(error: OSError) -> None:
        raise error

    for here, folders, files in os.walk(folder, onerror=fail):
        found += [Path(here, name).relative_to(folder).as_posix() for name in folders + files]
    return sorted(found)


def _is_ours(folder: Path, name: str, listed: dict[str, str]) -> bool:
    path = folder / name
    if path.is_symlink():
        return False
    if name == MARKER:
        return bool(content_of_marker(folder))
    if path.is_dir():
        return path.name == CACHE or any(n.startswith(f"{name}/") for n in listed)
    if path.parent.name == CACHE and path.suffix == ".pyc":
        return True
    return path.is_file() and name in listed and sha256(path) == listed[name]


def content_of_marker(folder: Path) -> dict[str, object]:
    """What the marker says; nothing where there is none of ours."""
    path = folder / MARKER
    if path.is_symlink() or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return {}
    ours = isinstance(found, dict) and found.get("written_by") == "fewshot-nas"
    return found if ours else {}


def read_marker(folder: Path) -> dict[str, str] | None:
    """Checksums by name of the files that we wrote; none if the folder is not ours."""
    files = content_of_marker(folder).get("files")
    return files if isinstance(files, dict) else None


def busy(place: Path) -> RunFolderError:
    """The error of a place that other processes keep replacing."""
    return RunFolderError(f"{place} is being written by other processes", fix="wait for them")
