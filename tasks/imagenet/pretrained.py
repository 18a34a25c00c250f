"""Supernets that the once-for-all authors released (Cai et al., ICLR 2020), in our supernets.

Their networks and ours compute the same where three things are kept. Smaller expansions and
squeezes are leading channels. A smaller kernel is the centre of the next larger one, times a
matrix. The first blocks of a unit are those that a smaller depth keeps. ``ofa_mbv3`` holds the
matrices; ``proxyless`` has a kernel of its own for each operation, worked out once, at loading.

Names and figures are facts of https://github.com/mit-han-lab/once-for-all (MIT).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from fewshot_core.errors import RecipeError
from fewshot_core.supernet.elastic import leading, shrunk_kernel, transform_name
from fewshot_core.supernet.pretrained import WeightsReport
from fewshot_tasks.imagenet.supernet import ElasticBlock, MobileSupernet

_PLACE = "https://raw.githubusercontent.com/han-cai/files/master/ofa/ofa_nets/"

PUBLISHED = {
    name: _PLACE + name
    for name in (
        "ofa_mbv3_d234_e346_k357_w1.0",
        "ofa_mbv3_d234_e346_k357_w1.2",
        "ofa_proxyless_d234_e346_k357_w1.3",
    )
}
"""Where the released supernets are published, by name."""

SIZES = (3, 5, 7)
"""Kernel sizes of the released supernets."""

_OUTER = {
    "frame.conv_stem": "first_conv.conv",
    "frame.bn1": "first_conv.bn",
    "first.0.conv_dw": "blocks.0.conv.depth_conv.conv",
    "first.0.bn1": "blocks.0.conv.depth_conv.bn",
    "first.0.conv_pw": "blocks.0.conv.point_linear.conv",
    "first.0.bn2": "blocks.0.conv.point_linear.bn",
    "after.0.conv": "final_expand_layer.conv",
    "after.0.bn1": "final_expand_layer.bn",
    "frame.conv_head": "feature_mix_layer.conv",
    "frame.bn2": "feature_mix_layer.bn",
    "frame.classifier": "classifier.linear",
}
_INNER = {
    "conv_pw": "inverted_bottleneck.conv",
    "bn1": "inverted_bottleneck.bn",
    "conv_dw": "depth_conv.conv",
    "bn2": "depth_conv.bn",
    "se.conv_reduce": "depth_conv.se.fc.reduce",
    "se.conv_expand": "depth_conv.se.fc.expand",
    "conv_pwl": "point_linear.conv",
    "bn3": "point_linear.bn",
}
_IN_UNIT = re.compile(r"units\.(\d+)\.(\d+)\.(?:operations\.\w+\.)?(.+)")
_MATRIX = re.compile(r"kernels\.transform_(\d+to\d+)")
_WIDTH = re.compile(r"blocks\.(\d+)\.conv\.point_linear\.conv\.weight")
_HEAD = "frame.classifier."


@torch.no_grad()
def load_ofa(supernet: MobileSupernet, weights: Mapping[str, Tensor]) -> WeightsReport:
    """Fill a supernet, in place, from tensors with once-for-all's names.

    The classifier alone is left as it is where the number of classes is another.

    Args:
        supernet: Over any region of ``ofa_mbv3`` or ``proxyless``.
        weights: What a released file holds; older spellings of the names are understood.

    Returns:
        What became of every tensor on both sides.

    Raises:
        RecipeError: The weights are of another network, or lack something that the supernet holds.
    """
    _check_kernels(supernet)
    spelled = {_modern(name): name for name in weights}
    theirs = {modern: weights[name] for modern, name in spelled.items()}
    blocks = _match_units(supernet, theirs)
    copied: dict[str, str] = {}
    sliced: dict[str, str] = {}
    derived: dict[str, str] = {}
    left, used = [], set()
    for name, mine in supernet.state_dict().items():
        source = _their_name(name, blocks)
        tensor = theirs.get(source) if source is not None else None
        if source is None or tensor is None:
            left.append(name)
            continue
        whole, inputs = tensor, [source]
        if name.endswith("conv_dw.weight") and mine.shape[-1] < tensor.shape[-1]:
            matrices = _matrices(source, theirs)
            tensor = shrunk_kernel(tensor, mine.shape[-1], SIZES, matrices)
            inputs += [
                _matrix_name(source, large, small)
                for large, small in pairwise(reversed(SIZES))
                if mine.shape[-1] <= small and large <= whole.shape[-1]
            ]
        elastic = name.startswith("units.")
        part = leading(tensor, mine.shape) if elastic or tensor.shape == mine.shape else None
        if part is None:
            left.append(name)
            continue
        mine.copy_(part)
        used.update(inputs)
        kind = derived if tensor is not whole else copied if part.shape == whole.shape else sliced
        kind[name] = spelled[source]
    _require_loaded(left, supernet)
    unread = tuple(spelled[name] for name in theirs if name not in used)
    return WeightsReport(copied, sliced, derived, tuple(left), unread)


@torch.no_grad()
def ofa_weights(supernet: MobileSupernet) -> dict[str, Tensor]:
    """Copies of a supernet's tensors with once-for-all's names, as its package reads them.

    Args:
        supernet: Over the whole space ``ofa_mbv3``.

    Raises:
        RecipeError: Its blocks have no shared kernels, so that there are no such tensors.
    """
    first = {0: 1}
    for u, unit in enumerate(supernet.units):
        blocks = list(unit.children())
        if not all(isinstance(block, ElasticBlock) for block in blocks):
            raise RecipeError(
                "once-for-all's format needs blocks that share their kernels",
                found=f"network.space={supernet.space.name}",
                allowed="network.space=ofa_mbv3",
            )
        first[u + 1] = first[u] + len(blocks)
    found = {}
    for name, tensor in supernet.state_dict().items():
        source = _their_name(
            name, {u: range(first[u], first[u + 1]) for u in range(len(first) - 1)}
        )
        assert source is not None
        found[_released(source)] = tensor.detach().clone().contiguous()
    return found


def _modern(name: str) -> str:
    """One spelling of a name: the package has wrapped layers once and twice over its versions."""
    name = name.replace(".mobile_inverted_conv.", ".conv.").replace(".bn.bn.", ".bn.")
    return name.replace(".conv.conv.weight", ".conv.weight").replace(".linear.linear.", ".linear.")


def _released(name: str) -> str:
    """The spelling of the package's own supernets, whose elastic layers are wrapped."""
    if not name.startswith("blocks.") or name.startswith("blocks.0.") or ".se." in name:
        return name
    if name.endswith("_matrix"):
        return name
    return name.replace(".bn.", ".bn.bn.").replace(".conv.weight", ".conv.conv.weight")


def _their_name(name: str, blocks: Mapping[int, Sequence[int]]) -> str | None:
    """The name of one of our tensors there; None: there is none.

    Args:
        name: Of our supernet.
        blocks: Numbers of their blocks for each of our units, counted from 0.
    """
    found = _IN_UNIT.fullmatch(name)
    if found is None:
        layer, _, kind = name.rpartition(".")
        return f"{_OUTER[layer]}.{kind}" if layer in _OUTER else None
    unit, slot, rest = int(found[1]), int(found[2]), found[3]
    if slot >= len(blocks[unit]):
        return None
    prefix = f"blocks.{blocks[unit][slot]}.conv."
    if matrix := _MATRIX.fullmatch(rest):
        return f"{prefix}depth_conv.conv.{matrix[1]}_matrix"
    layer, _, kind = rest.rpartition(".")
    return f"{prefix}{_INNER[layer]}.{kind}" if layer in _INNER else None


def _match_units(supernet: MobileSupernet, theirs: Mapping[str, Tensor]) -> dict[int, list[int]]:
    """Their blocks for each of our units: blocks of one width in a row are a unit there.

    A variant may leave units out, so the next one of the same width is taken.
    """
    widths = {int(m[1]): len(t) for n, t in theirs.items() if (m := _WIDTH.fullmatch(n))}
    runs: list[tuple[int, list[int]]] = []
    for number in sorted(widths)[1:]:  # the first is no part of a unit
        if not runs or runs[-1][0] != widths[number]:
            runs.append((widths[number], []))
        runs[-1][1].append(number)
    wanted = [unit.width for unit in supernet.space.skeleton.units]
    found, rest = {}, iter(runs)
    for u, width in enumerate(wanted):
        numbers = next((numbers for other, numbers in rest if other == width), None)
        if numbers is None:
            raise RecipeError(
                f"supernet.weights are of a network of other widths than {supernet.space.name}",
                found=f"units of {', '.join(str(w) for w, _ in runs) or 'no'} channels",
                allowed=f"{', '.join(map(str, wanted))} channels among them",
                fix="set network.space and network.width to those of the weights",
            )
        found[u] = numbers
    return found


def _check_kernels(supernet: MobileSupernet) -> None:
    """Our smaller kernels have to be made in the steps in which theirs are."""
    for unit in supernet.units:
        for block in unit.children():
            if not isinstance(block, ElasticBlock):
                continue
            sizes = block.kernels.sizes
            steps = [transform_name(large, small) for large, small in pairwise(reversed(sizes))]
            if set(steps) - {transform_name(7, 5), transform_name(5, 3)}:
                raise RecipeError(
                    "supernet.weights cannot fill these kernels",
                    found=f"network.kernels={list(sizes)}",
                    allowed="neighbours among 3, 5, 7",
                )
            if len(steps) != len(list(block.kernels.parameters())):
                raise RecipeError(
                    "supernet.weights have matrices between kernels, which this supernet lacks",
                    fix="set network.learned_kernels=true",
                )


def _matrix_name(source: str, large: int, small: int) -> str:
    return f"{source.removesuffix('weight')}{large}to{small}_matrix"


def _matrices(source: str, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices of a depthwise convolution, by our names: of a 5x5 there is one alone."""
    found, largest = {}, theirs[source].shape[-1]
    for large, small in pairwise(reversed(SIZES)):
        name = _matrix_name(source, large, small)
        if large > largest:
            continue
        if name not in theirs:
            raise RecipeError("supernet.weights lack a matrix between kernels", found=name)
        found[transform_name(large, small)] = theirs[name]
    return found


def _require_loaded(left: Sequence[str], supernet: MobileSupernet) -> None:
    """Without its stem, say, a pretrained network is none: all but the classifier has to fit."""
    missing = list(_not_head(left))
    if missing:
        raise RecipeError(
            f"supernet.weights do not fit {len(missing)} tensors of the supernet",
            found=", ".join(missing[:3]),
            allowed="the depths, expansions and head of the weights, images of 3 channels",
            fix="leave network.depths, network.expansions and network.head at the weights' own",
        )


def _not_head(names: Sequence[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith(_HEAD))
