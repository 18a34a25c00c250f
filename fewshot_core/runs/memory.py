"""Memory that a process frees stays its own, for the next step of a training."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Mapping

CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "LD_PRELOAD")
"""Variables by which a user chooses how memory is managed."""

# From malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_TRIM = 2**31 - 1
_MMAP = 2**30, 2**25  # the second is the most that some versions take

Set = Callable[[int, int], int]


def keep_freed_memory(environ: Mapping[str, str] | None = None, mallopt: Set | None = None) -> bool:
    """Tell glibc not to give large blocks back to the system; whether it does so now.

    A step frees what it has computed, and the next one needs as much again. Every page that was
    given back in between is asked for and zeroed anew: up to a tenth of a step on a CPU. The
    process keeps what it has needed at most, up to 2 GB of it free; its peak does not change.

    Does nothing without glibc, or where the user has chosen by a variable (:data:`CHOSEN`, or
    ``GLIBC_TUNABLES`` about malloc). It concerns the whole process, so that a tool calls it and no
    import does.
    """
    variables = os.environ if environ is None else environ
    if any(variables.get(name) for name in CHOSEN):
        return False
    if "glibc.malloc." in variables.get("GLIBC_TUNABLES", ""):
        return False
    if mallopt is None:
        mallopt = _glibc()
    if mallopt is None:
        return False
    # Both, because setting one of them ends glibc's own adjustment of the other.
    return any(mallopt(_MMAP_THRESHOLD, size) for size in _MMAP) and bool(
        mallopt(_TRIM_THRESHOLD, _TRIM)
    )


def _glibc() -> Set | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        found: Set = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return None
    return found
