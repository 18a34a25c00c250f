"""Folders that are handed over: written whole, and in the place of nothing but our own.

A folder of ours holds a marker, ``.fewshot-nas.json``, with the SHA-256 of every file in it. Such a
folder may be replaced while it holds these files and no others; anything else is somebody's work
and is left as it is. A new folder is filled beside its place and then takes it: the old one is
renamed aside, the new one in, and only then is the old one removed. A killed process leaves a
folder whose name begins with ``.fewshot-nas-``; the next one of the same target puts it back or
removes it, if by its marker it is ours.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import WriteError, sha256

MARKER = ".fewshot-nas.json"
CACHE = "__pycache__"
SHOWN = 4
"""Names of files in a message."""
ATTEMPTS = 20
"""To take a place that others take as well."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder to be filled; it takes the place of ``target`` when the block ends well.

    It appears whole or not at all, and has the mode that the umask says.

    Args:
        target: A folder of ours, an empty one, or a place where nothing is.

    Raises:
        RunFolderError: ``target`` may not be replaced, or it cannot be written, before the block
            as far as it can be known; an old folder that was changed meanwhile is kept and named.
    """
    place = _place(target)
    with _writing(target):
        _settle(place)
    require_replaceable(target)
    made = _missing_parents(place)
    try:
        with _writing(target):
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = _beside(place, "part")
            fresh.mkdir()
        try:
            with _marker(fresh, target) as marker:
                yield fresh
                with _writing(target):
                    _mark(marker, {n: sha256(fresh / n) for n in _names(fresh) if n != MARKER})
                    _swap(fresh, place, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except WriteError as error:
        raise _cannot_write(target, error.reason) from None
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty: the new folder is there
                folder.rmdir()


def require_replaceable(target: Path) -> None:
    """Raise unless ``target`` is free, empty, or a folder of ours that nobody has changed.

    Raises:
        RunFolderError: It is not, with the names of the files that are not ours.
    """
    with _writing(target):
        _require_replaceable(target, _place(target))


def strangers(folder: Path) -> list[str]:
    """Names, relative to ``folder``, of what is not ours: not in its marker, or changed since.

    Raises:
        OSError: It cannot be read.
    """
    listed = _listed(folder) or {}
    return [n for n in _names(folder) if n != MARKER and not _is_ours(folder, n, listed)]


# -- what may be replaced --------------------------------------------------------------------------


def _place(target: Path) -> Path:
    """The absolute path, with links followed in all but its last part."""
    try:
        if target.name in ("", ".."):
            return target.resolve()
        return target.parent.resolve() / target.name
    except (OSError, RuntimeError) as error:  # a ring of links is a RuntimeError
        raise RunFolderError(f"{target} cannot be reached", found=error) from None


def _require_replaceable(target: Path, place: Path) -> None:
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
    found = strangers(place)
    if not found:
        return
    shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" * (len(found) > SHOWN))
    if _listed(place) is None:
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


def _names(folder: Path) -> list[str]:
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
    if path.is_dir():
        return path.name == CACHE or any(n.startswith(f"{name}/") for n in listed)
    if path.parent.name == CACHE and path.suffix == ".pyc":
        return True
    return path.is_file() and name in listed and sha256(path) == listed[name]


def _content(folder: Path) -> dict[str, object]:
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


def _listed(folder: Path) -> dict[str, str] | None:
    """Checksums by name of the files that we wrote; none if the folder is not ours."""
    files = _content(folder).get("files")
    return files if isinstance(files, dict) else None


# -- taking the place ------------------------------------------------------------------------------


def _beside(place: Path, kind: str) -> Path:
    return place.with_name(f"{_prefix(place)}{secrets.token_hex(4)}.{kind}")


def _prefix(place: Path) -> str:
    # Not the name itself: it may be as long as names may be.
    return f".fewshot-nas-{hashlib.blake2b(os.fsencode(place.name), digest_size=5).hexdigest()}-"


@contextmanager
def _marker(fresh: Path, target: Path) -> Iterator[IO[str]]:
    """The marker of a folder that is being filled, locked for as long."""
    with _writing(target):
        marker = (fresh / MARKER).open("x+", encoding="utf-8")
    with marker:
        with _writing(target):
            _lock(marker)
            _mark(marker, None)
        yield marker


def _mark(marker: IO[str], files: dict[str, str] | None) -> None:
    """Write the marker through the file that is locked, so that it stays so."""
    value = {
        "written_by": "fewshot-nas",
        "about": "This folder is replaced while it holds these files, unchanged, and no others.",
        "files": files,
    }
    marker.seek(0)
    marker.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    marker.truncate()
    marker.flush()
    os.fsync(marker.fileno())


def _lock(marker: IO[str]) -> bool:
    """Whether this process now holds the marker, so that no other one is filling its folder."""
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _swap(fresh: Path, place: Path, target: Path) -> None:
    """Rename ``fresh`` to ``place``. Others may do so at the same time: the last one stays."""
    for _ in range(ATTEMPTS):
        _require_replaceable(target, place)
        old = _moved_aside(place)
        try:
            os.rename(fresh, place)
        except OSError as error:
            if old is not None:
                _put_back(old, place)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                continue
            raise
        if old is not None and not _removed_or_left(old):
            kept = place.with_name(f"{place.name}-{secrets.token_hex(4)}")
            os.rename(old, kept)
            raise RunFolderError(
                f"{target} was changed while the new one was written",
                found=f"the old one is kept as {kept}, the new one is in its place",
            )
        return
    raise RunFolderError(f"{target} is being written by other processes", fix="wait for them")


def _moved_aside(place: Path) -> Path | None:
    old = _beside(place, "old")
    try:
        os.rename(place, old)
    except FileNotFoundError:
        return None
    return old


def _put_back(old: Path, place: Path) -> None:
    try:
        os.rename(old, place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _removed(old)  # another process has put its folder there


def _removed(folder: Path) -> bool:
    """Remove a folder if all in it is ours, the marker last; whether it is gone."""
    if strangers(folder):
        return False
    # One by one: a file that has come since is not removed with the rest.
    names = _names(folder)
    for name in [*(n for n in names if n != MARKER), *(n for n in names if n == MARKER)]:
        if not (folder / name).is_dir():
            (folder / name).unlink()
    for name in reversed(names):
        if (folder / name).is_dir():
            (folder / name).rmdir()
    folder.rmdir()
    return True


def _removed_or_left(old: Path) -> bool:
    """False where something of somebody else's is in it; what cannot be removed is left."""
    try:
        return _removed(old)
    except OSError:  # the next export to this place tries again
        return True


def _settle(place: Path) -> None:
    """Put right what killed processes have left beside ``place``, as far as it is ours."""
    for found in sorted(place.parent.glob(f"{_prefix(place)}*")):
        if found.is_symlink() or not found.is_dir() or not _content(found):
            continue
        if found.suffix == ".old" and _listed(found) is not None and not strangers(found):
            if place.exists():
                _removed(found)
            else:  # killed between the two renamings
                os.rename(found, place)
        elif found.suffix == ".part":
            with (found / MARKER).open("r+") as marker:
                if _lock(marker):
                    shutil.rmtree(found)


def _missing_parents(place: Path) -> list[Path]:
    """Folders above ``place`` that have to be made, the innermost first."""
    return [folder for folder in place.parents if not folder.exists()]


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turn an :class:`OSError` into one line about ``target``."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(target, error.strerror or str(error)) from None


def _cannot_write(target: Path, reason: str) -> RunFolderError:
    return RunFolderError(
        f"cannot write {target}", found=reason, fix="free space or choose another folder"
    )
