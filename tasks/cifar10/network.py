"""Networks built from one repeated cell, as ordinary timm models.

This file depends on torch and timm alone and travels with every exported model: running it
registers ``nasbench201_cell`` with timm, after which ``timm.create_model`` builds and loads it.

The macro skeleton is that of NAS-Bench-201 (Dong and Yang, ICLR 2020, section 2.1): a 3x3 stem,
three stages of N cells with C, 2C and 4C channels, a residual block of stride 2 between stages,
then batch norm, ReLU, global average pooling and a linear classifier. C=16 and N=5 are theirs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import create_classifier
from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    is_model,
    model_entrypoint,
    register_model,
)
from timm.models._features import feature_take_indices
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if __name__ == "<run_path>":  # runpy leaves no module behind, and pickled models name theirs
    __name__ = Path(__file__).stem
    sys.modules.setdefault(__name__, sys.modules["<run_path>"])

Edge = tuple[int, int, str]  # target node, source node, operation


def parse_cell(genotype: str) -> list[Edge]:
    """The edges of ``|op~0|+|op~0|op~1|+...``, in the order of the text, ``none`` included."""
    edges = [
        (target, int(source), operation)
        for target, group in enumerate(genotype.split("+"), start=1)
        for operation, source in re.findall(r"([A-Za-z0-9_]+)~(\d+)", group)
    ]
    if not edges:
        raise ValueError(f"not a cell: {genotype!r}")
    return edges


def live_edges(edges: Iterable[Edge]) -> list[Edge]:
    """The edges on some path from node 0 to the last node."""
    edges = list(edges)
    active = sorted(edge for edge in edges if edge[2] != "none")
    last = max(target for target, _, _ in edges)
    reached, reaching = {0}, {last}
    for target, source, _ in active:
        if source in reached:
            reached.add(target)
    for target, source, _ in reversed(active):
        if target in reaching:
            reaching.add(source)
    return [e for e in active if e[1] in reached and e[0] in reaching]


def make_operation(name: str, channels: int, affine: bool = True) -> nn.Module:
    """A candidate operation on ``[B, channels, H, W]`` that keeps the shape."""
    if name in ("nor_conv_1x1", "nor_conv_3x3"):
        size = 1 if name == "nor_conv_1x1" else 3
        return nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(channels, affine=affine),
        )
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity()
    raise ValueError(f"unknown operation {name!r}")


def run_cell(x: Tensor, edges: Iterable[Edge], apply: Callable[[Edge, Tensor], Tensor]) -> Tensor:
    """Sum the edges into their nodes and return the last node; zeros if nothing reaches it.

    ``edges`` are sorted by target, so that a node is complete before it is read.
    """
    nodes: dict[int, Tensor] = {0: x}
    last = 0
    for edge in edges:
        target, source, _ = edge
        value = apply(edge, nodes[source])
        nodes[target] = nodes[target] + value if target in nodes else value
        last = target
    return nodes[last] if last else torch.zeros_like(x)


def edge_key(target: int, source: int) -> str:
    """Name of an edge's modules in a state dict."""
    return f"edge_{target}_{source}"


class FixedCell(nn.Module):
    """One cell with its operations decided.

    With ``prune=False`` operations that cannot reach the output are built as well, though never
    computed, so that the parameters are those of the benchmark's networks.
    """

    def __init__(self, cell: Sequence[Edge], channels: int, affine: bool, prune: bool) -> None:
        super().__init__()
        self.live = live_edges(cell)
        kept = self.live if prune else [edge for edge in cell if edge[2] != "none"]
        self.edges = nn.ModuleDict(
            {edge_key(t, s): make_operation(op, channels, affine) for t, s, op in kept}
        )

    def forward(self, x: Tensor) -> Tensor:
        return run_cell(x, self.live, lambda edge, v: self.edges[edge_key(edge[0], edge[1])](v))


class ReductionBlock(nn.Module):
    """Residual block of stride 2: ``[B, C, H, W]`` to ``[B, 2C, ceil(H/2), ceil(W/2)]``."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv_a = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.conv_b = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        # ceil_mode keeps odd sizes in step with the strided convolution.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_b(self.conv_a(x)) + self.shortcut(x)


class CellSkeleton(nn.Module):
    """Everything around the cells. ``make_cell(channels)`` makes each of them.

    Further arguments of :meth:`forward_features` are handed to every cell, which is how the
    supernet says what to run.
    """

    def __init__(
        self,
        make_cell: Callable[[int], nn.Module],
        *,
        channels: int,
        cells_per_stage: int,
        num_classes: int,
        in_chans: int,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels]
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.feature_info = [
            {"num_chs": width, "reduction": 2**index, "module": f"stages.{index}"}
            for index, width in enumerate(widths)
        ]
        self.num_features = self.head_hidden_size = widths[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(make_cell(width) for _ in range(cells_per_stage)) for width in widths
        )
        self.reductions = nn.ModuleList(
            ReductionBlock(narrow, wide) for narrow, wide in pairwise(widths)
        )
        self.norm: nn.Module = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self.global_pool, self.head = create_classifier(
            self.num_features, num_classes, pool_type=global_pool
        )

    def forward_features(self, x: Tensor, *cell_arguments: Any) -> Tensor:
        """``[B, in_chans, H, W]`` to ``[B, 4C, ceil(H/4), ceil(W/4)]``."""
        x = self.stem(x)
        for index in range(len(self.stages)):
            x = self.forward_stage(index, x, *cell_arguments)
        return self.norm(x)

    def forward_stage(self, index: int, x: Tensor, *cell_arguments: Any) -> Tensor:
        """The block of stride 2 in front of a stage, and its cells."""
        if index:
            x = self.reductions[index - 1](x)
        for cell in self.stages[index].children():
            if self.grad_checkpointing:
                x = checkpoint(cell, x, *cell_arguments, use_reentrant=False)
            else:
                x = cell(x, *cell_arguments)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled features, or logits ``[B, num_classes]``."""
        x = self.global_pool(x)
        if self.drop_rate > 0:  # dropout draws random numbers even where it drops nothing
            x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor, *cell_arguments: Any) -> Tensor:
        return self.forward_head(self.forward_features(x, *cell_arguments))

    def get_classifier(self) -> nn.Module:
        """The linear layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh linear layer for another number of classes, and another pooling if named."""
        self.num_classes = num_classes
        if global_pool is None:
            global_pool = self.global_pool.pool_type
        self.global_pool, self.head = create_classifier(
            self.num_features, num_classes, pool_type=global_pool
        )


class CellNetwork(CellSkeleton):
    """A network of one decided cell, given as its edges, ``none`` included."""

    def __init__(
        self,
        cell: Sequence[Edge],
        *,
        channels: int = 16,
        cells_per_stage: int = 5,
        num_classes: int = 10,
        in_chans: int = 3,
        affine: bool = True,
        prune: bool = True,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__(
            lambda width: FixedCell(cell, width, affine, prune),
            channels=channels,
            cells_per_stage=cells_per_stage,
            num_classes=num_classes,
            in_chans=in_chans,
            global_pool=global_pool,
            drop_rate=drop_rate,
        )
        self.cell = tuple(cell)

    # What timm asks of its models besides: `features_only`, layer decay, less memory in training.

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Outputs of the stages at ``indices``, and what :meth:`forward_features` gives.

        Args:
            x: ``[B, in_chans, H, W]``.
            indices: As timm has them: numbers of stages, or how many of the last; none: all.
            norm: Whether the last stage's output is normalised.
            stop_early: Whether later stages are left out; needs ``intermediates_only``.
            output_fmt: ``NCHW``.
            intermediates_only: Whether the outputs are all that is returned.
        """
        assert output_fmt == "NCHW", "Output shape must be NCHW."
        assert intermediates_only or not stop_early, "Must use intermediates_only to stop early."
        taken, last = feature_take_indices(len(self.stages), indices)
        found = []
        x = self.stem(x)
        for index in range(last + 1 if stop_early else len(self.stages)):
            x = self.forward_stage(index, x)
            if index in taken:
                ends = index == len(self.feature_info) - 1
                found.append(self.norm(x) if norm and ends else x)
        return found if intermediates_only else (self.norm(x), found)

    def prune_intermediate_layers(
        self,
        indices: int | Sequence[int] | None = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Drop what is behind the last of the stages ``indices``; their numbers."""
        taken, last = feature_take_indices(len(self.stages), indices)
        self.stages, self.reductions = self.stages[: last + 1], self.reductions[:last]
        if prune_norm:
            self.norm = nn.Identity()
        if prune_head:
            self.reset_classifier(0, "")
        return list(taken)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers from the input to the output, for a learning rate that decays with them."""
        behind = (99999,)  # timm's mark: of one group with what is just before
        cells = r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.(\d+)"
        blocks = [(cells, None), (r"^reductions\.(\d+)", behind), (r"^norm", behind)]
        return {"stem": r"^stem", "blocks": blocks}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether cells are computed again in the backward pass instead of being kept."""
        self.grad_checkpointing = enable


default_cfgs = generate_default_cfgs(
    {
        "nasbench201_cell": {
            "num_classes": 10,
            "input_size": (3, 32, 32),
            "pool_size": (8, 8),
            "fixed_input_size": False,
            "crop_pct": 1.0,
            "interpolation": "bicubic",
            "first_conv": "stem.0",
            "classifier": "head",
        }
    }
)


def register(entry: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """With timm, unless another copy of this file has done so: models keep one class."""
    name = entry.__name__
    known = is_model(name) and model_entrypoint(name).__code__ == entry.__code__
    return entry if known else register_model(entry)


@register
def nasbench201_cell(pretrained: bool = False, *, genotype: str, **kwargs: Any) -> nn.Module:
    """A NAS-Bench-201 network; ``genotype`` is the text of its cell."""
    return build_model_with_cfg(
        CellNetwork,
        "nasbench201_cell",
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2), "feature_cls": "getter"},
        cell=parse_cell(genotype),
        **kwargs,
    )
