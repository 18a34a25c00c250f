"""Standalone networks of a mobile space, built by timm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
from torch import nn

from fewshot_core.data import ImageShape
from fewshot_tasks.imagenet import network
from fewshot_tasks.imagenet.skeleton import Skeleton

SOURCE = network.__file__
"""The file that registers the models; to import it is to register them."""


def timm_arguments(
    skeleton: Skeleton, arch_def: Sequence[Sequence[str]], channels: int
) -> dict[str, Any]:
    """Keyword arguments by which timm builds the network again."""
    stages = [list(stage) for stage in arch_def]
    return {"arch_def": stages, "in_chans": channels, **skeleton.arguments()}


def timm_network(
    skeleton: Skeleton,
    arch_def: Sequence[Sequence[str]],
    shape: ImageShape,
    *,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """A freshly initialised network.

    Args:
        skeleton: What surrounds the blocks.
        arch_def: Block strings of every stage.
        shape: Channels and classes.
        drop_rate: Dropout before the classifier.
        drop_path_rate: Stochastic depth of the last block; it grows linearly up to there.
    """
    arguments = timm_arguments(skeleton, arch_def, shape.channels)
    model: nn.Module = timm.create_model(
        skeleton.model,
        num_classes=shape.classes,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
        **arguments,
    )
    return model
