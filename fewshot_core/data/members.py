"""Names of the members of an archive, as the folders that they make."""

from __future__ import annotations

import posixpath
from collections.abc import Container
from pathlib import Path

from fewshot_core.data import rule
from fewshot_core.errors import DataError

Folders = dict[str, dict[str, None]]
"""For each folder, by its path in the archive, the names in it, in their order."""


def enter_folders(path: str, folders: Folders, files: Container[str], where: Path) -> None:
    """Note a folder and those above it.

    Args:
        path: The folder in the archive; empty: the root.
        folders: What is known; it is added to.
        files: Paths of the files that are known.
        where: The archive.

    Raises:
        DataError: One of them is a file.
    """
    while path:
        if path in files:
            raise both_error(where, path)
        folders.setdefault(path, {})
        parent, name = posixpath.split(path)
        if name in folders.setdefault(parent, {}):
            return
        folders[parent][name] = None
        path = parent


def both_error(where: Path, path: str) -> DataError:
    """What to tell of a name that stands for a file and for a folder."""
    return DataError(f"{rule.show_name(where / path)} is both a file and a folder")
