"""Stages of cells as ordinary timm models: what the networks of all spaces have in common.

This file depends on torch and timm alone. With the file of a space's networks behind it, it travels
with every exported model: running it registers the model with timm, after which
``timm.create_model`` builds and loads it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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


class StagedNetwork(nn.Module):
    """Stages of cells, with what is around them, as timm's models are.

    Further arguments of :meth:`forward_features` are handed to every cell, which is how the
    supernet says what to run. A subclass makes the parts, in the order in which they are drawn.

    Attributes:
        stem: What reads the images.
        stages: Lists of cells.
        reductions: What halves the resolution between stages.
        norm: What follows the last cell.
    """

    stem: nn.Module
    stages: nn.ModuleList
    reductions: nn.ModuleList
    norm: nn.Module

    def _describe(self, widths: Sequence[int], num_classes: int, drop_rate: float) -> None:
        """Note the channels of the stages' outputs, and what timm asks about."""
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.feature_info = [
            {"num_chs": width, "reduction": 2**index, "module": f"stages.{index}"}
            for index, width in enumerate(widths)
        ]
        self.num_features = self.head_hidden_size = widths[-1]

    def _add_head(self, global_pool: str) -> None:
        self.global_pool, self.head = create_classifier(
            self.num_features, self.num_classes, pool_type=global_pool
        )

    def forward_features(self, x: Tensor, *cell_arguments: Any) -> Tensor:
        """``[B, in_chans, H, W]`` to ``[B, num_features, ceil(H/4), ceil(W/4)]``."""
        x = self.stem(x)
        for index in range(len(self.stages)):
            x = self.forward_stage(index, x, *cell_arguments)
        return self.norm(x)

    def forward_stage(self, index: int, x: Any, *cell_arguments: Any) -> Any:
        """What halves the resolution in front of a stage, and the cells of the stage."""
        return self.run_cells(index, self.enter_stage(index, x, *cell_arguments), *cell_arguments)

    def enter_stage(self, index: int, x: Any, *cell_arguments: Any) -> Any:
        """What halves the resolution in front of a stage; nothing before the first."""
        return self.reductions[index - 1](x) if index else x

    def run_cells(self, index: int, x: Any, *cell_arguments: Any) -> Any:
        """The cells of a stage."""
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

    def unnormed(self, x: Any) -> Tensor:
        """The output of a stage, of what its cells hand on."""
        output: Tensor = x
        return output

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
                found.append(self.norm(x) if norm and ends else self.unnormed(x))
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


def describe_model(name: str) -> Any:
    """What timm asks about a model of small images."""
    return generate_default_cfgs(
        {
            name: {
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
    """With timm, unless another copy has done so: models keep one class.

    A copy may have the same code on other lines.
    """
    name = entry.__name__
    known = is_model(name) and _code(model_entrypoint(name)) == _code(entry)
    return entry if known else register_model(entry)


def _code(entry: Callable[..., nn.Module]) -> tuple[bytes, tuple[str, ...]]:
    return entry.__code__.co_code, entry.__code__.co_names


def build(name: str, network: type[nn.Module], pretrained: bool, **arguments: Any) -> nn.Module:
    """A model of timm: the network, with weights where they are asked for."""
    return build_model_with_cfg(
        network,
        name,
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2), "feature_cls": "getter"},
        **arguments,
    )
