"""Zip files as folders of images. Nothing is unpacked: members are read where they are.

A member's name is a name and no place on this machine, so ``../x.png`` leads nowhere. A member that
would grow beyond measure is refused before it is read.
"""

from __future__ import annotations

import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import NamedTuple

from fewshot_core.data import rule
from fewshot_core.data.members import both_error, enter_folders
from fewshot_core.data.problems import Problems
from fewshot_core.data.tree import FILE, FOLDER, Entry
from fewshot_core.errors import DataError

GROWTH, SMALL = 100, 64 << 20
"""A member of more than 64 MiB that was packed to less than a hundredth is no photograph."""

_HEADER = struct.Struct("<4s22xHH")  # of a member: its mark, and the lengths of name and extra
_MARK = b"PK\x03\x04"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1  # the bit of the flags
_WINDOWS = 0  # the system whose programs may write backslashes


class _Member(NamedTuple):
    """Where a file is, and what it is after unpacking."""

    start: int
    packed: int
    size: int
    method: int
    checksum: int
    encrypted: bool


class Zip:
    """A zip file as a tree; of several members with one path the last counts.

    Args:
        where: The zip file.

    Raises:
        DataError: It is damaged, or has an image that cannot be read: encrypted, packed by a rare
            method, or of a size beyond measure.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        self._files: dict[str, _Member | None] = {}  # none: a link or a device
        self._folders: dict[str, dict[str, None]] = {"": {}}  # and the names in them
        try:
            with zipfile.ZipFile(where) as archive:
                for info in archive.infolist():
                    self._enter(info)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(
                f"{rule.show_name(where)} is not a readable zip file", found=error
            ) from error
        Problems(self._errors()).check()

    def _enter(self, info: zipfile.ZipInfo) -> None:
        name = info.filename.replace("\\", "/") if info.create_system == _WINDOWS else info.filename
        path = posixpath.normpath("/" + name.lstrip("/"))[1:]
        if not path:  # the root itself
            return
        if name.endswith("/"):
            enter_folders(path, self._folders, self._files, self.where)
            return
        enter_folders(posixpath.dirname(path), self._folders, self._files, self.where)
        self._files.pop(path, None)
        self._folders[posixpath.dirname(path)][posixpath.basename(path)] = None
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG)
        self._files[path] = _member(info) if plain else None
        if path in self._folders:
            raise both_error(self.where, path)

    def _errors(self) -> Iterable[DataError]:
        for path, member in self._files.items():
            if member is None or rule.is_hidden_path(path) or not rule.is_image(path):
                continue
            fault = _fault(member)
            if fault is not None:
                yield DataError(
                    f"{rule.show_name(self.where / path)} cannot be read",
                    found=fault,
                    fix="pack it anew, by zip -r or the like",
                )

    def identity(self) -> Hashable:
        return ""

    def entries(self, folder: str) -> Iterable[Entry]:
        return [self._entry(folder, name) for name in self._folders[folder]]

    def _entry(self, folder: str, name: str) -> Entry:
        path = f"{folder}/{name}" if folder else name
        if path in self._folders:
            return Entry(name, FOLDER, path)
        return Entry(name, rule.SPECIAL_FILES if self._files[path] is None else FILE)

    def read(self, path: str) -> bytes:
        member = self._files.get(path)
        if member is None:
            raise OSError("not a plain file")
        with self.where.open("rb") as file:
            file.seek(member.start)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size or not header.startswith(_MARK):
                raise OSError("the zip file is damaged: no member begins there")
            _, name, extra = _HEADER.unpack(header)
            file.seek(name + extra, 1)
            packed = file.read(member.packed)
        return _unpack(member, packed)


def _member(info: zipfile.ZipInfo) -> _Member:
    return _Member(
        start=info.header_offset,
        packed=info.compress_size,
        size=info.file_size,
        method=info.compress_type,
        checksum=info.CRC,
        encrypted=bool(info.flag_bits & _ENCRYPTED),
    )


def _fault(member: _Member) -> str | None:
    if member.encrypted:
        return "it is encrypted"
    if member.method not in _METHODS:
        return f"it is packed by method {member.method}, which is neither stored nor deflated"
    if member.size > max(SMALL, GROWTH * member.packed):
        return f"{member.packed:,} bytes would become {member.size:,}"
    return None


def _unpack(member: _Member, packed: bytes) -> bytes:
    """The bytes of a member.

    Raises:
        OSError: They are not those that the zip file says.
    """
    content = packed
    if member.method == zipfile.ZIP_DEFLATED:
        try:
            # One byte more than there should be tells that there are too many; no more is made.
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)
        except zlib.error as error:
            raise OSError(f"the zip file is damaged: {error}") from error
    if len(content) != member.size or zlib.crc32(content) != member.checksum:
        raise OSError("the zip file is damaged: length or checksum is wrong")
    return content
