"""Files that are whole or absent: written beside their place, flushed, and renamed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from fewshot_core.errors import RunFolderError


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file, then put it in place of ``path``.

    Raises:
        RunFolderError: The folder cannot be written to, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        # On a full disk torch raises a RuntimeError and safetensors one of its own.
        with suppress(OSError):
            beside.unlink()
        reason = error.strerror if isinstance(error, OSError) else str(error)[:80]
        raise RunFolderError(
            f"cannot write {path}", found=reason or error, fix="free space or choose run=DIR"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    write_atomic(path, lambda beside: _write_text(beside, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, fix: str | None = None) -> Any:
    """Read a JSON file of a run.

    Args:
        path: The file.
        fix: How to get it anew, for the message.

    Raises:
        RunFolderError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing", fix=fix) from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"{path} cannot be read", found=str(error)[:120], fix=fix) from None


def sha256(path: Path) -> str:
    """Checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
