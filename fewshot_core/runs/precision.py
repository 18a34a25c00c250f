"""In which floating-point format to train and score: ``precision=auto``."""

from __future__ import annotations

import re
from pathlib import Path

from fewshot_core.errors import RecipeError
from fewshot_core.runs.variables import USED, asks_for_cpu

AUTO = "auto"
"""bfloat16 where the device has instructions for it, float32 elsewhere."""

__all__ = ["AUTO", "USED", "fp16_on_cpu", "has_bf16", "precision_note", "resolve_precision"]

CPU_INFO = Path("/proc/cpuinfo")

_BF16_FLAGS = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")


def has_bf16(cpu_info: Path = CPU_INFO) -> bool:
    """Whether the device of this process computes in bfloat16 by instructions of its own.

    A processor without them emulates it, several times slower than float32. Nothing is claimed of
    devices that are not asked here: other accelerators than CUDA's and ROCm's, and processors
    outside of Linux.
    """
    import torch  # late: recipes are checked without it

    # `accelerate launch --cpu` on a machine with a GPU says so by a variable.
    if torch.cuda.is_available() and not asks_for_cpu():
        # Newer versions of torch count emulation as support.
        major, _ = torch.cuda.get_device_capability()
        return bool(torch.version.hip or major >= 8)
    try:
        return _BF16_FLAGS.search(cpu_info.read_text()) is not None
    except OSError:
        return False


def resolve_precision(wanted: str | None, kept: str | None, told: str | None = None) -> str:
    """What a run is computed in.

    Args:
        wanted: The recipe's ``precision``; none: what the launcher was told.
        kept: What the run began with, so that all of it is computed alike; none for a new run.
        told: The launcher's; none where it says nothing.
    """
    if wanted not in (None, AUTO):
        return wanted
    if kept is not None:
        return kept
    if wanted is None:
        return told or "no"
    return "bf16" if has_bf16() else "no"


def fp16_on_cpu(wanted: str | None, run: Path) -> RecipeError:
    """What to say where float16 is asked of a processor: Accelerate would compute in float32."""
    return RecipeError(
        "precision fp16 needs a GPU",
        found="precision=fp16 of the recipe"
        if wanted == "fp16"
        else f"accelerate launch or the beginning of {run} asks for it, and there is none",
        allowed="no, bf16, auto",
        fix="precision=auto in another run=DIR, or the machine that the run began on",
    )


def precision_note(wanted: str | None, used: str, told: str | None = None) -> str | None:
    """A line for the user about a choice made for them, or about theirs if it is a slow one."""
    native = has_bf16()
    if used == "bf16" and not native:
        return (
            "precision bf16: this device has no instructions for it and emulates it, many times "
            "slower than precision=no"
        )
    if wanted == AUTO:
        return f"precision {used}: chosen by precision=auto when the run began"
    if told is not None and told != used:
        if wanted is None:
            return f"precision {used}: as the run began; the launcher's {told} has no effect"
        return f"precision {used}: as the recipe says; the launcher's {told} has no effect"
    return None
