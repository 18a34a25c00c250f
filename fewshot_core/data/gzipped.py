"""Compressed tar files, which have no places that one could read at: unpacked once, as a whole.

What is made is a tar file in the cache of this user, and nothing of its content is written as a
file of its own, so no name in it can lead anywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from pathlib import Path

from fewshot_core.data.rule import show_name
from fewshot_core.errors import DataError
from fewshot_core.runs.files import WriteError, write_atomic

ENDINGS = (".tar.gz", ".tgz")

GROWTH, SMALL = 50, 1 << 30
"""More than 1 GiB that was packed to less than a fiftieth is no set of photographs."""

SPARED = 1 << 30
"""Bytes of the disk that are left free."""

_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Where this user's unpacked archives are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fewshot-nas" / "archives"


def is_gzipped(path: Path) -> bool:
    """Whether a file of this name is a compressed tar file."""
    return path.name.lower().endswith(ENDINGS)


def unpacked(path: Path) -> Path:
    """The tar file in a compressed one: made at the first call, and again when that one changes.

    Raises:
        DataError: It is damaged, would grow beyond measure, or there is no room for it.
    """
    status = path.stat()
    known = f"{path.absolute()}\0{status.st_size}\0{status.st_mtime_ns}"
    digest = hashlib.blake2b(os.fsencode(known), digest_size=8).hexdigest()
    place = cache_folder() / f"{digest}.tar"
    if place.is_file():
        return place
    try:
        write_atomic(place, lambda beside: _unpack(path, status.st_size, beside))
    except WriteError as error:
        raise DataError(
            f"{show_name(path)} cannot be unpacked",
            found=f"{error.reason} at {show_name(place.parent)}",
            fix="unpack it yourself and name the folder, or set XDG_CACHE_HOME to another place",
        ) from None
    return place


def _unpack(path: Path, packed: int, to: Path) -> None:
    room = shutil.disk_usage(to.parent).free - SPARED
    most, written = max(SMALL, GROWTH * packed), 0
    try:
        with gzip.open(path, "rb") as source, to.open("wb") as target:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > most:
                    raise DataError(
                        f"{show_name(path)} is no archive of photographs",
                        found=f"{packed:,} bytes would become more than {most:,}",
                        fix="unpack it yourself and name the folder",
                    )
                if written > room:
                    raise DataError(
                        f"{show_name(path)} cannot be unpacked",
                        found=f"no room for more than {max(0, room):,} bytes at {to.parent}",
                        fix="free space, or set XDG_CACHE_HOME to another place",
                    )
                target.write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{show_name(path)} is not a readable .tar.gz file", found=error) from error
