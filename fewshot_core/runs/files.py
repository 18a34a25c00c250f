"""Files that are whole or absent: written beside their place, flushed, and renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import resource
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from fewshot_core.errors import RunFolderError

if TYPE_CHECKING:
    from torch import Tensor, nn

PAGE = 1 << 12
"""Bytes that may be missing from a file which could not grow to its limit."""

FULL = 1 << 20
"""Bytes that are left on a disk which counts as full."""


class WriteError(RunFolderError):
    """A file could not be written; ``reason`` says why."""

    reason: str = ""


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file, then put it in place of ``path``.

    The file has the mode that the umask says, whatever ``write`` gave it. No file but ``path`` is
    replaced, and processes that write the same file do not meet: the last one stays.

    Raises:
        WriteError: The folder cannot be written to, or the disk is full.
    """
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_leftovers(path)
        beside = path.with_name(f"{_prefix(path)}{os.getpid()}-{secrets.token_hex(3)}.part")
        with beside.open("xb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        write(beside)
        with beside.open("rb") as file:
            os.fchmod(file.fileno(), mode)  # safetensors makes its files readable for one's self
            os.fsync(file.fileno())
        os.replace(beside, path)
        beside = None
    except (OSError, RuntimeError, SafetensorError) as error:
        # On a full disk torch raises a RuntimeError and safetensors one of its own.
        reason = error.strerror if isinstance(error, OSError) else _reason(path, beside, error)
        wrong = WriteError(
            f"cannot write {path}", found=reason or error, fix="free space or choose run=DIR"
        )
        wrong.reason = reason or str(error)
        raise wrong from None
    finally:
        if beside is not None:
            with suppress(OSError):
                beside.unlink()


def _reason(path: Path, beside: Path | None, error: Exception) -> str:
    """What writers that are no Python mean, which tell of positions where nothing can be written.

    Args:
        path: What was to be written.
        beside: The temporary file, which has grown as far as it could; None: there is none.
        error: What the writer raised.
    """
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < FULL:
            return os.strerror(errno.ENOSPC)
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = 0 if beside is None else beside.stat().st_size
        if limit != resource.RLIM_INFINITY and size >= limit - PAGE:
            return os.strerror(errno.EFBIG)
    return str(error)[:80]


def _prefix(path: Path) -> str:
    """How temporary files for ``path`` begin, on this machine: no file of a user's is called so."""
    # Not the name itself: it may be as long as names may be.
    digest = hashlib.blake2b(digest_size=5)
    digest.update(os.fsencode(path.name) + b"\0" + platform.node().encode())
    return f".fewshot-nas-{digest.hexdigest()}-"


def _clear_leftovers(path: Path) -> None:
    """Remove the temporary files that killed processes have left for ``path``."""
    start = _prefix(path)
    for found in path.parent.glob(f"{start}*.part"):
        process = re.match(r"(\d+)-", found.name.removeprefix(start))
        if process and not _runs(int(process[1])):
            with suppress(OSError):
                found.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    write_atomic(path, lambda beside: _write_text(beside, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_copy(path: Path, source: Path) -> None:
    """Copy the content of ``source``."""

    def copy(beside: Path) -> None:
        shutil.copyfile(source, beside)

    write_atomic(path, copy)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], **metadata: str) -> None:
    """Write a file of safetensors whole; the tensors come to the CPU."""
    from safetensors.torch import save_file  # it imports torch

    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_atomic(path, lambda beside: save_file(plain, beside, metadata=metadata or None))


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


def digest_of_weights(network: nn.Module) -> str:
    """SHA-256 of all tensors of a network and their names, wherever they lie."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.cpu().contiguous()
        if values.dtype == torch.bfloat16:  # which numpy does not know
            values = values.float()
        digest.update(name.encode() + values.numpy().tobytes())
    return digest.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Let ``target`` have the content of ``source``, whole or not at all."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{secrets.token_hex(4)}.part")
    try:
        os.link(os.path.realpath(source), beside)
        os.replace(beside, target)
    except OSError:  # another file system, or one without links
        write_copy(target, source)
    finally:
        with suppress(OSError):
            beside.unlink()
