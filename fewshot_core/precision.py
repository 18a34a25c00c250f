"""In which floating-point format to train and score: ``precision=auto``."""

from __future__ import annotations

import re
from pathlib import Path

AUTO = "auto"
"""bfloat16 where the device has instructions for it, float32 elsewhere."""

USED = ("no", "bf16", "fp16")
"""What a run can be computed in."""

CPU_INFO = Path("/proc/cpuinfo")

_BF16_FLAGS = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")


def has_bf16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the device of this process computes in bfloat16 by instructions of its own.

    A processor without them emulates it, several times slower than float32. Nothing is claimed of
    devices that are not asked here: other accelerators than CUDA's and ROCm's, and processors
    outside of Linux.
    """
    import torch  # late: recipes are checked without it
    from accelerate.utils import parse_flag_from_env

    # `accelerate launch --cpu` on a machine with a GPU says so by this variable.
    if torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU"):
        # Newer versions of torch count emulation as support.
        major, _ = torch.cuda.get_device_capability()
        return bool(torch.version.hip or major >= 8)
    try:
        return _BF16_FLAGS.search(cpu_info.read_text()) is not None
    except OSError:
        return False


def resolve_precision(wanted: str | None, kept: str | None) -> str | None:
    """What Accelerate is told.

    Args:
        wanted: The recipe's ``precision``.
        kept: What ``auto`` meant where the run began, so that all of it is computed alike; none
            for a new run.
    """
    if wanted != AUTO:
        return wanted
    return kept or ("bf16" if has_bf16() else "no")


def precision_note(wanted: str | None, used: str) -> str | None:
    """A line for the user about a choice made for them, or about theirs if it is a slow one."""
    native = has_bf16()
    if used == "bf16" and not native:
        return (
            "precision bf16: this device has no instructions for it and emulates it, many times "
            "slower than precision=no"
        )
    if wanted == AUTO:
        return f"precision {used}: chosen by precision=auto when the run began"
    return None
