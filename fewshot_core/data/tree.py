"""Folders of images, real ones or within a tar file, and the one walk through them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from fewshot_core.data import rule
from fewshot_core.data.rule import show_name
from fewshot_core.errors import DataError

FILE, FOLDER = "file", "folder"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Entry:
    """What a folder holds under one name; links have been followed.

    Args:
        name: Its name.
        kind: ``FILE``, ``FOLDER``, or the reason why it is left out.
        identity: What a folder is known by: equal where two names lead to one folder.
    """

    name: str
    kind: str
    identity: Hashable = None


class Tree(Protocol):
    """Folders within folders. Paths are POSIX paths from the root, which is the empty path.

    Attributes:
        where: Where it lies.
    """

    where: Path

    def entries(self, folder: str) -> Iterable[Entry]:
        """What a folder holds, in any order."""

    def identity(self) -> Hashable:
        """Of the root."""

    def read(self, path: str) -> bytes:
        """The bytes of a file."""


@dataclass
class Found:
    """What a walk has found.

    Attributes:
        images: Paths, in order.
        folders: Folders that were looked into.
        made: Folders that this program wrote, which are left out.
        twice: Folders that were reached before, each with the path that came first; their images
            are not listed a second time.
        left_out: How much was left out, by reason.
    """

    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    twice: list[tuple[str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def walk(tree: Tree, skipped: Iterable[str] = ()) -> Found:
    """List the images below the root of a tree, by the rule that all sources share.

    Folders are walked in the order of their names, so that of two paths to one folder it is always
    the same that counts.

    Args:
        tree: Where to look.
        skipped: Folders in the root that are not looked into.

    Raises:
        DataError: A folder cannot be read.
    """
    found = Found()
    root = tree.identity()
    seen: dict[Hashable, str] = {root: ""}
    waiting: list[tuple[str, tuple[Hashable, ...]]] = [("", (root,))]
    while waiting:
        folder, above = waiting.pop()
        entries = {entry.name: entry for entry in tree.entries(folder)}
        if folder and (reason := rule.explain_as_ours(entries)):
            found.left_out[reason] += 1
            found.folders.remove(folder)
            found.made.append(folder)
            continue
        below = []
        for name in rule.sort_naturally(entries):
            entry, path = entries[name], f"{folder}/{name}" if folder else name
            if entry.kind != FOLDER:
                _take_file(found, entry, path)
            elif rule.is_hidden(name):
                found.left_out[rule.HIDDEN_FOLDERS] += 1
            elif entry.identity in above:
                found.left_out[rule.LOOPS] += 1
            elif entry.identity in seen:
                found.twice.append((path, seen[entry.identity]))
                found.left_out[rule.TWICE] += 1
            elif folder or name not in skipped:
                seen[entry.identity] = path
                found.folders.append(path)
                below.append((path, (*above, entry.identity)))
        waiting += reversed(below)
    found.images = rule.sort_naturally(found.images)
    return found


def _take_file(found: Found, entry: Entry, path: str) -> None:
    if rule.is_hidden(entry.name):
        found.left_out[rule.HIDDEN_FILES] += 1
    elif entry.kind != FILE:
        found.left_out[entry.kind] += 1
    elif rule.is_image(entry.name):
        found.images.append(path)
    else:
        found.left_out[rule.other_file(entry.name)] += 1


class FolderTree:
    """A folder of the file system; links are followed.

    Names are UTF-8 whatever the locale says, so that it cannot change their order.

    Args:
        where: The folder.
        setting: The setting that named it, for messages.
    """

    def __init__(self, where: Path, setting: str) -> None:
        self.where, self.setting = where, setting
        self._root = os.fsencode(where)

    def _bytes(self, path: str) -> bytes:
        return os.path.join(self._root, path.encode("utf-8", "surrogateescape"))

    def identity(self) -> Hashable:
        return self._ask_once("", lambda: _identity(os.stat(self._root)))

    def entries(self, folder: str) -> Iterable[Entry]:
        def listed() -> list[Entry]:
            with os.scandir(self._bytes(folder)) as entries:
                return [_entry(entry) for entry in entries]

        return self._ask_once(folder, listed)

    def _ask_once(self, folder: str, look: Callable[[], _T]) -> _T:
        try:
            return look()
        except OSError as error:
            raise DataError(
                f"{self.setting}: the folder {show_name(self.where / folder)} cannot be read",
                found=error.strerror,
            ) from error

    def read(self, path: str) -> bytes:
        return read_file(self._bytes(path))


def _entry(entry: os.DirEntry[bytes]) -> Entry:
    name = entry.name.decode("utf-8", "surrogateescape")
    try:
        if entry.is_file():
            return Entry(name, FILE)
        status = entry.stat()
    except FileNotFoundError:
        return Entry(name, rule.BROKEN)
    except OSError:  # a link to itself, or through a folder that may not be read
        if not entry.is_symlink():
            raise
        return Entry(name, rule.BROKEN)
    if stat.S_ISDIR(status.st_mode):
        return Entry(name, FOLDER, _identity(status))
    return Entry(name, rule.SPECIAL_FILES)


def _identity(status: os.stat_result) -> Hashable:
    return status.st_dev, status.st_ino


def place_of(root: str | Path) -> Path:
    """The file or folder that a setting names."""
    return Path(os.path.expanduser(root))  # Path's own function raises for an unknown user


def require_place(path: Path, setting: str, allowed: str) -> None:
    """Raise unless there is something at a place, and it may be looked at.

    Raises:
        DataError: There is not.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        problem, reason = "does not exist", None
    except OSError as error:
        problem, reason = "cannot be read", error.strerror
    else:
        return
    raise DataError(f"{setting}: {show_name(path)} {problem}", found=reason, allowed=allowed)


def read_file(path: str | bytes) -> bytes:
    """The bytes of a plain file; a pipe or device is not waited for.

    Raises:
        OSError: It cannot be read, or is no plain file.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a plain file")
        return file.read()


def _open_at_once(path: str | bytes, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
