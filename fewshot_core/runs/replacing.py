"""Put a folder in its place whole: filled beside it, and renamed.

The old folder is renamed aside, the new one in, and only then is the old one removed. A killed
process leaves a folder whose name begins with ``.fewshot-nas-``; the next one of the same target
puts it back or removes it, if by its marker it is ours.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fewshot_core.errors import RunFolderError
from fewshot_core.runs.files import WriteError, sha256
from fewshot_core.runs.ownership import (
    CACHE,
    MARKER,
    busy,
    content_of_marker,
    names_in,
    read_marker,
    require_replaceable,
    strangers,
)

ATTEMPTS, PAUSE = 100, 0.1
"""To take a place that others take as well, and seconds between them."""


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
        require_replaceable(target, place)
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
                    _mark(marker, _files_of(fresh))
                    _swap(fresh, place, target)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except WriteError as error:
        raise _cannot_write(target, error.reason) from None
    finally:
        for folder in made:
            with suppress(OSError):  # it is not empty: the new folder is there
                folder.rmdir()


def _place(target: Path) -> Path:
    """The absolute path, with links followed in all but its last part."""
    try:
        if target.name in ("", ".."):
            return target.resolve()
        return target.parent.resolve() / target.name
    except (OSError, RuntimeError) as error:  # a ring of links is a RuntimeError
        raise RunFolderError(f"{target} cannot be reached", found=error) from None


def _missing_parents(place: Path) -> list[Path]:
    """Folders above ``place`` that have to be made, the innermost first."""
    return [folder for folder in place.parents if not folder.exists()]


# -- folders beside --------------------------------------------------------------------------------


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
            _lock(marker, otherwise=True)
            _mark(marker, None)
        yield marker


def _files_of(fresh: Path) -> dict[str, str]:
    """The digests of the files of a new folder, without what Python compiled while it was tried."""
    for cache in [*fresh.rglob(CACHE)]:
        shutil.rmtree(cache)
    names = (name for name in names_in(fresh) if name != MARKER)
    return {name: sha256(fresh / name) for name in names if (fresh / name).is_file()}


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


def _lock(marker: IO[str], otherwise: bool) -> bool:
    """Whether this process now holds the folder of a marker.

    Args:
        marker: Open for writing.
        otherwise: The answer where the file system knows no locks.
    """
    try:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES) and otherwise
    return True


@contextmanager
def _held(folder: Path, otherwise: bool) -> Iterator[bool]:
    """Hold a folder, unless another process does; one without a marker nobody holds."""
    path = folder / MARKER
    if not path.is_file():
        yield otherwise
        return
    with path.open("r+") as marker:
        # It may have gone its way between the opening and the locking.
        yield _lock(marker, otherwise) and _same(path, marker)


def _same(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _swap(fresh: Path, place: Path, target: Path) -> None:
    """Rename ``fresh`` to ``place``. Others may do so at the same time: the last one stays."""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE if attempt else 0)
        with suppress(FileNotFoundError), _held(place, otherwise=True) as mine:
            if mine and _swap_in(fresh, place, target):
                return
    raise busy(target)


def _swap_in(fresh: Path, place: Path, target: Path) -> bool:
    """Whether it worked: not where another process has put its folder there meanwhile."""
    require_replaceable(target, place)
    old = _move_aside(place)
    try:
        os.rename(fresh, place)
    except OSError as error:
        if old is not None:
            _put_back(old, place)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    if old is not None and not _remove_or_leave(old):
        kept = place.with_name(f"{place.name}-{secrets.token_hex(4)}")
        os.rename(old, kept)
        raise RunFolderError(
            f"{target} was changed while the new one was written",
            found=f"the old one is kept as {kept}, the new one is in its place",
        )
    return True


def _move_aside(place: Path) -> Path | None:
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
        _remove(old)  # another process has put its folder there


def _remove(folder: Path) -> bool:
    """Remove a folder if all in it is ours, the marker last; whether it is gone."""
    if strangers(folder):
        return False
    # One by one: a file that has come since is not removed with the rest.
    names = names_in(folder)
    for name in [*(n for n in names if n != MARKER), *(n for n in names if n == MARKER)]:
        if not (folder / name).is_dir():
            (folder / name).unlink()
    for name in reversed(names):
        if (folder / name).is_dir():
            (folder / name).rmdir()
    folder.rmdir()
    return True


def _remove_or_leave(old: Path) -> bool:
    """False where something of somebody else's is in it; what cannot be removed is left."""
    try:
        return _remove(old)
    except OSError:  # the next export to this place tries again
        return True


def _settle(place: Path) -> None:
    """Put right what killed processes have left beside ``place``, as far as it is ours."""
    for found in sorted(place.parent.glob(f"{_prefix(place)}*")):
        with suppress(FileNotFoundError):  # another process does the same
            if not found.is_symlink() and found.is_dir() and content_of_marker(found):
                with _held(found, otherwise=False) as mine:
                    if mine:
                        _settle_one(found, place)


def _settle_one(found: Path, place: Path) -> None:
    if found.suffix == ".part":
        shutil.rmtree(found)
    elif read_marker(found) is not None and not strangers(found):
        if place.exists():
            _remove(found)
        else:  # killed between the two renamings
            os.rename(found, place)


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
