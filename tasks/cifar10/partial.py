"""Partial channels: operations see one of so many channels, the others go past them.

Source: Xu et al., PC-DARTS, ICLR 2020, section 3.2. Tensors are ``[B, C, H, W]``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fewshot_core.errors import RecipeError, RegionError


def divide_channels(channels: int, partial: int) -> int:
    """How many channels operations see, one of ``partial``.

    Raises:
        RecipeError: They cannot be divided.
    """
    if channels % partial:
        raise RecipeError(
            f"{channels} channels cannot be divided by preferences.partial={partial}",
            fix=f"make network.channels a multiple of {partial}",
        )
    return channels // partial


def take_part(x: Tensor, partial: int) -> Tensor:
    """The first of ``partial`` parts of the channels, in the layout of ``x``."""
    if partial == 1:
        return x
    part = x[:, : x.shape[1] // partial]
    like = x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if like else torch.contiguous_format
    return part.contiguous(memory_format=layout)


def take_past(x: Tensor, partial: int) -> Tensor:
    """The other parts."""
    return x[:, x.shape[1] // partial :]


def join_parts(part: Tensor, past: Tensor, partial: int) -> Tensor:
    """What operations made of a part, with the channels that went past them, shuffled."""
    return torch.channel_shuffle(torch.cat([part, past], dim=1), partial)


def require_whole(partial: int) -> None:
    """Raise where a standalone network is asked for and there is none.

    Raises:
        RegionError: Operations see a part of the channels.
    """
    if partial > 1:
        raise RegionError("a supernet of partial channels holds no standalone networks")
