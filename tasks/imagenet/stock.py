"""A network of a mobile space that starts from a stock model of timm, where their blocks agree.

A block agrees with the one at its place in the unit of the same width if it is of the same kind and
has the same input and output. A smaller expansion is its leading channels, a smaller kernel its
centre, as once-for-all's training begins with the largest network (Cai et al., ICLR 2020, section
3). Of a larger one the rest adds zero, so that the block computes at first what the smaller does
(Net2Net, Chen et al., ICLR 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, InvertedResidual
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from fewshot_core.errors import RecipeError
from fewshot_core.supernet.elastic import shrunk_kernel
from fewshot_core.supernet.pretrained import WeightsReport
from fewshot_tasks.imagenet.skeleton import Skeleton

SUITED = {
    "ofa_mbv3": ("mobilenetv3_large_100",),
    "proxyless": ("mnasnet_100", "spnasnet_100"),
    "fbnet": ("fbnetc_100",),
}
"""Models of timm whose units have the widths of a space, at ``network.width=1``."""

_FAMILIES = (MobileNetV3, EfficientNet)
_DEPTHWISE = "conv_dw.weight"


@torch.no_grad()
def load_stock(
    network: nn.Module, model: nn.Module, skeleton: Skeleton, said: str, space: str
) -> WeightsReport:
    """Fill a network, in place, with the tensors of a stock model that fit.

    Args:
        network: What :func:`fewshot_tasks.imagenet.build.timm_network` has made.
        model: With its weights; of the same number of input channels.
        skeleton: What surrounds the blocks of the network.
        said: How the user has named the model, for messages.
        space: The name of the space, for messages.

    Returns:
        What became of every tensor on both sides.

    Raises:
        RecipeError: The model is of another family, or no block of it fits.
    """
    _require_family(network, model, said, space)
    blocks = dict(_matched_blocks(network, model))
    units = _unit_stages(skeleton)
    if not any(int(prefix.split(".")[1]) in units for prefix in blocks):
        raise RecipeError(
            f"{said}: no block of it fits the networks of {space}",
            found=f"units of {_widths(model)} channels",
            allowed=f"{', '.join(str(unit.width) for unit in skeleton.units)} channels among them",
            fix=_fix(space),
        )
    mine, theirs = network.state_dict(), model.state_dict()
    found: dict[str, dict[str, str]] = {"copied": {}, "sliced": {}, "derived": {}, "grown": {}}
    left = []
    for name, tensor in mine.items():
        source = _source_of(name, blocks)
        given = None if source is None else theirs.get(source)
        fits = given is not None and (name.startswith("blocks.") or given.shape == tensor.shape)
        if source is None or given is None or not fits:
            left.append(name)
        else:
            found[_fill(tensor, given, source)][name] = source
    used = {source for pairs in found.values() for source in pairs.values()}
    unread = tuple(name for name in theirs if name not in used)
    return WeightsReport(**found, left=tuple(left), unread=unread)


def _require_family(network: nn.Module, model: nn.Module, said: str, space: str) -> None:
    (family,) = (kind for kind in _FAMILIES if isinstance(network, kind))
    if not isinstance(model, family):
        known = isinstance(model, _FAMILIES)
        raise RecipeError(
            f"{said} is of another family" if known else f"{said} is of no mobile family",
            found=type(model).__name__,
            allowed=f"{family.__name__}, of which the networks of {space} are",
            fix=_fix(space),
        )


def _fix(space: str) -> str:
    names = " or ".join(f"retrain.start=timm:{name}" for name in SUITED.get(space, ()))
    return f"{names}, at network.width=1" if names else "retrain.start=scratch"


def _matched_blocks(network: nn.Module, model: nn.Module) -> Iterator[tuple[str, str]]:
    """Names of blocks and of those in the model that agree with them.

    Units are matched in order, by their width: a network may have others between.
    """
    mine, theirs = _stages(network), _stages(model)
    rest = 0
    for s, stage in enumerate(mine):
        width = _shape(stage[-1])[1]
        same = [t for t in range(rest, len(theirs)) if _shape(theirs[t][-1])[1] == width]
        if not width or not same:
            continue
        rest = same[0] + 1
        for b, (one, other) in enumerate(zip(stage, theirs[same[0]], strict=False)):
            if _agree(one, other):
                yield f"blocks.{s}.{b}", f"blocks.{same[0]}.{b}"


def _stages(model: nn.Module) -> list[list[nn.Module]]:
    return [list(stage.children()) for stage in model.blocks.children()]  # type: ignore[union-attr]


def _shape(block: nn.Module) -> tuple[int, int]:
    """Channels that a block reads and gives; zeros where its kind is another."""
    first, last = {
        InvertedResidual: ("conv_pw", "conv_pwl"),
        DepthwiseSeparableConv: ("conv_dw", "conv_pw"),
        ConvBnAct: ("conv", "conv"),
    }.get(type(block), ("", ""))
    if not first:
        return 0, 0
    return block.get_submodule(first).in_channels, block.get_submodule(last).out_channels  # type: ignore[return-value]


def _agree(one: nn.Module, other: nn.Module) -> bool:
    if type(one) is not type(other) or not _shape(one)[0] or _shape(one) != _shape(other):
        return False
    mine, theirs = one.state_dict(), other.state_dict()
    if mine.keys() != theirs.keys():  # the one has squeeze-and-excitation
        return False
    return (
        not isinstance(one, ConvBnAct) or mine["conv.weight"].shape == theirs["conv.weight"].shape
    )


def _source_of(name: str, blocks: dict[str, str]) -> str | None:
    """The name of a tensor in the model; None where its block has no counterpart."""
    if not name.startswith("blocks."):
        return name
    parts = name.split(".", 3)
    block = blocks.get(".".join(parts[:3]))
    return None if block is None else f"{block}.{parts[3]}"


def _fill(mine: Tensor, theirs: Tensor, name: str) -> str:
    """Put one tensor of a block into another; the word of the report for it."""
    word = "copied" if mine.shape == theirs.shape else "sliced"
    if any(m > t for m, t in zip(mine.shape, theirs.shape, strict=True)):
        word = "grown"
    elif name.endswith(_DEPTHWISE) and mine.shape[-1] < theirs.shape[-1]:
        word = "derived"
    if name.endswith(_DEPTHWISE):
        theirs = _resized(theirs, mine.shape[-1])
    common = [min(m, t) for m, t in zip(mine.shape, theirs.shape, strict=True)]
    if mine.ndim > 1 and word == "grown":
        mine[:, common[1] :] = 0  # what the model does not have is not heard of yet
    place = tuple(slice(size) for size in common)
    mine[place] = theirs[place]
    return word


def _resized(kernel: Tensor, size: int) -> Tensor:
    """The centre of a depthwise kernel ``[C, 1, K, K]``, or the whole of it amid zeros."""
    edge = (size - kernel.shape[-1]) // 2
    if edge > 0:
        return F.pad(kernel, [edge] * 4)
    return shrunk_kernel(kernel, size, (), {})


def _unit_stages(skeleton: Skeleton) -> range:
    """Numbers of the stages whose blocks are chosen."""
    first = len(skeleton.before)
    return range(first, first + len(skeleton.units))


def _widths(model: nn.Module) -> str:
    widths: Sequence[int] = [_shape(stage[-1])[1] for stage in _stages(model)]
    return ", ".join(str(width) for width in widths if width) or "no"
