"""Uncompressed tar files: their folders, and where the bytes of their members are.

A link is followed where it leads to something in the same tar file. One that leads elsewhere is an
error where it may be an image's: nothing outside is read, and no image is lost without a word.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from fewshot_core.data import rule
from fewshot_core.data.members import both_error, enter_folders
from fewshot_core.data.problems import Problems
from fewshot_core.data.tree import FILE, FOLDER, Entry
from fewshot_core.errors import DataError

_HOPS = 40  # links that are followed one after the other, as on Linux
_CHUNK = 1 << 20


class Place(NamedTuple):
    """Where a member's bytes begin, and how many there are."""

    start: int
    size: int


class _Link(NamedTuple):
    """``target`` from the root of the tar (a hard link) or from the link's own folder."""

    target: str
    hard: bool


class Tar:
    """A tar file as a tree; of several members with one path the last counts, as when unpacked.

    Args:
        where: The tar file.
        named: What messages call it, where that is another file.

    Attributes:
        repeated: Paths of files that occur more than once.

    Raises:
        DataError: It is damaged or compressed, or lacks the file that an image is a link to.
    """

    def __init__(self, where: Path, named: Path | None = None) -> None:
        self.where = named or where
        self._file = where
        self.repeated: list[str] = []
        self._nodes: dict[str, Place | _Link | None] = {}  # none: no plain file
        self._folders: dict[str, dict[str, None]] = {"": {}}  # and the names in them
        if not where.is_file():  # a pipe would keep the reader waiting
            raise DataError(f"{rule.show_name(where)} is not a plain file")
        try:
            with tarfile.open(where, "r:", encoding="utf-8", errors="surrogateescape") as tar:
                for member in tar:
                    self._enter(member)
                end = tar.offset
            self._check_end(end)
        except (tarfile.TarError, OSError) as error:
            raise DataError(
                f"{rule.show_name(self.where)} is not a readable tar file",
                found=error,
                allowed="an uncompressed .tar file",
            ) from error
        Problems(self._lost_error(path) for path in self.files() if self._is_lost(path)).check()

    def _enter(self, member: tarfile.TarInfo) -> None:
        path = posixpath.normpath("/" + member.name.lstrip("/"))[1:]
        if not path:  # the root itself
            return
        enter_folders(posixpath.dirname(path), self._folders, self._nodes, self.where)
        if member.isdir():
            self._folders.setdefault(path, {})
            enter_folders(path, self._folders, self._nodes, self.where)
            return
        if path in self._nodes:
            self.repeated.append(path)
            del self._nodes[path]  # to stand where the one stood that counts
        self._folders[posixpath.dirname(path)][posixpath.basename(path)] = None
        if member.issym() or member.islnk():
            self._nodes[path] = _Link(member.linkname, member.islnk())
        elif member.isreg() and not member.issparse():
            self._nodes[path] = Place(member.offset_data, member.size)
        elif member.issparse() and rule.is_image(path):
            raise DataError(
                f"{rule.show_name(self.where)}: {rule.show_name(path)} is a sparse file",
                fix="pack it anew without --sparse",
            )
        else:
            self._nodes[path] = None
        if path in self._folders:
            raise both_error(self.where, path)

    def _check_end(self, end: int) -> None:
        """``tarfile`` takes a damaged header for the end, and so does it the first of two ends."""
        with self._file.open("rb") as file:
            file.seek(end)
            while chunk := file.read(_CHUNK):
                if chunk.strip(b"\0"):
                    raise DataError(
                        f"{rule.show_name(self.where)} goes on after what looks like its end",
                        found=f"no member begins at byte {end}",
                        fix="make it anew; files joined by cat have to be joined by tar instead",
                    )

    def _is_lost(self, path: str) -> bool:
        if rule.is_hidden_path(path) or posixpath.splitext(path)[1].lower() not in (
            "",
            *rule.ENDINGS,
        ):
            return False
        return self._end(path) is None

    def _lost_error(self, path: str) -> DataError:
        return DataError(
            f"{rule.show_name(self.where)}: {rule.show_name(path)} is a link to what the tar "
            "file lacks",
            fix="pack it anew with tar --dereference",
        )

    def _end(self, path: str) -> str | None:
        """The path that is left when all links are followed; none: they lead out or nowhere."""
        at, hops = "", 0
        waiting = path.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not at:
                    return None
                at = posixpath.dirname(at)
                continue
            step = f"{at}/{part}" if at else part
            node = self._nodes.get(step)
            if isinstance(node, _Link):
                hops += 1
                if hops > _HOPS or (node.target.startswith("/") and not node.hard):
                    return None
                waiting += node.target.split("/")[::-1]
                at = "" if node.hard else at
            elif step in self._nodes or step in self._folders:
                at = step
            else:
                return None
        return at

    def files(self) -> Iterable[str]:
        """Paths of everything but folders, in the order of the tar."""
        return self._nodes

    def place(self, path: str) -> Place | None:
        """Where the bytes of a file are, behind whatever links; none: it is no plain file."""
        end = self._end(path)
        node = None if end is None else self._nodes.get(end)
        return node if isinstance(node, Place) else None

    def identity(self) -> Hashable:
        return ""

    def entries(self, folder: str) -> Iterable[Entry]:
        real = self._end(folder) or ""
        return [self._entry(real, name) for name in self._folders[real]]

    def _entry(self, folder: str, name: str) -> Entry:
        end = self._end(f"{folder}/{name}")
        if end is None:
            return Entry(name, rule.BROKEN)
        if end in self._folders:
            return Entry(name, FOLDER, end)
        return Entry(name, rule.SPECIAL_FILES if self._nodes[end] is None else FILE)

    def read(self, path: str) -> bytes:
        place = self.place(path)
        if place is None:
            raise OSError("not a plain file")
        with self._file.open("rb") as file:
            return read_at(file, place)


def read_at(file: BinaryIO, place: Place) -> bytes:
    """The bytes at a place of an open tar file.

    Raises:
        OSError: The file ends before.
    """
    file.seek(place.start)
    data = file.read(place.size)
    if len(data) < place.size:
        raise OSError("the tar file ends within it")
    return data
