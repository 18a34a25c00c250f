"""The accelerator of a process: Accelerate, told what this program needs."""

from __future__ import annotations

import os

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.schema import Recipe


def make_accelerator(recipe: Recipe) -> Accelerator:
    """The accelerator of this process, with its CPU threads set."""
    # Single paths leave most of a supernet without gradients.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # A launch of several processes on a machine without accelerators means several CPU processes;
    # left alone, Accelerate would let each of them believe that it is the only one.
    cpu = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not _has_accelerator()
    try:
        accelerator = Accelerator(
            cpu=cpu, mixed_precision=recipe.precision, kwargs_handlers=[unused]
        )
    except ValueError as error:  # the device cannot compute in it
        raise RecipeError(
            f"precision={recipe.precision} cannot be used here", found=error, fix="precision=no"
        ) from None
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # `accelerate launch` starts processes with one thread unless told otherwise.
    torch.set_num_threads(recipe.threads or max(1, (os.cpu_count() or 1) // local))
    return accelerator


def _has_accelerator() -> bool:
    # torch.accelerator came with torch 2.6.
    device = getattr(torch, "accelerator", torch.cuda)
    return bool(device.is_available())
