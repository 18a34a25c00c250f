"""Searched mobile networks, as ordinary timm models.

This file depends on torch and timm alone and travels with every exported model: running it
registers ``searched_mobilenetv3`` and ``searched_efficientnet`` with timm, after which
``timm.create_model`` builds and loads them. All parts are timm's; the architecture is the argument
``arch_def``, a list of stages, each a list of timm's block strings.

``searched_mobilenetv3`` is the form of OFA-MobileNetV3 (Cai et al., ICLR 2020): h-swish, head
after the pooling, without bias. ``searched_efficientnet`` is that of ProxylessNAS (Cai et al.,
ICLR 2019): ReLU6, batch norm with an epsilon of 0.001.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from timm.models import (
    build_model_with_cfg,
    generate_default_cfgs,
    is_model,
    model_entrypoint,
    register_model,
)
from timm.models._builder import pretrained_cfg_for_features
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, SqueezeExcite
from timm.models._efficientnet_builder import (
    decode_arch_def,
    resolve_act_layer,
    resolve_bn_args,
    round_channels,
)
from timm.models.efficientnet import EfficientNet, EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3, MobileNetV3Features
from torch import Tensor, nn

if __name__ == "<run_path>":  # runpy leaves no module behind, and pickled models name theirs
    __name__ = Path(__file__).stem
    sys.modules.setdefault(__name__, sys.modules["<run_path>"])

NO_ACTIVATION = "nid"
"""A word in a block's string that timm does not know: no activation."""

GROUPS = re.compile(r"_pg(\d+)$")
"""Another: groups of the 1x1 convolution that ends a block without expansion."""

HEAD_ARGUMENTS = ("num_classes", "num_features", "global_pool", "head_bias")
"""What a model that gives features of its stages does not take."""


def squeeze_excite() -> Any:
    """Squeeze-and-excitation of MobileNetV3: ReLU inside, hard sigmoid, multiples of 8 channels."""
    return partial(
        SqueezeExcite,
        gate_layer="hard_sigmoid",
        force_act_layer=nn.ReLU,
        rd_round_fn=round_channels,
    )


class ShuffledSeparable(nn.Module):
    """A depthwise separable block whose 1x1 convolution has groups of channels (FBNet).

    The channels are shuffled in front of the block, so that groups of several blocks mix.

    Args:
        block: timm's block without groups; its other layers are taken over.
        groups: Number of groups.
    """

    def __init__(self, block: DepthwiseSeparableConv, groups: int) -> None:
        super().__init__()
        self.groups, self.has_skip = groups, block.has_skip
        self.conv_dw, self.bn1, self.bn2 = block.conv_dw, block.bn1, block.bn2
        whole: Any = block.conv_pw
        self.conv_pw = nn.Conv2d(
            whole.in_channels, whole.out_channels, 1, groups=groups, bias=False
        )
        # As timm does: by the outputs of a group.
        nn.init.normal_(self.conv_pw.weight, 0, math.sqrt(2 * groups / whole.out_channels))
        self.drop_path = block.drop_path

    def forward(self, x: Tensor) -> Tensor:
        mixed = x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
        y: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(mixed))))
        return self.drop_path(y) + x if self.has_skip else y


def _with_groups(
    model: Callable[..., nn.Module], arch_def: Sequence[Sequence[str]]
) -> Callable[..., nn.Module]:
    """Makes timm's model, and then groups in the blocks whose strings ask for them."""

    def make(**arguments: Any) -> nn.Module:
        made: Any = model(**arguments)
        for stage, texts in zip(made.blocks, arch_def, strict=True):
            for place, text in enumerate(texts):
                if found := GROUPS.search(text):
                    stage[place] = ShuffledSeparable(stage[place], int(found[1]))
        network: nn.Module = made
        return network

    return make


def _build(
    name: str,
    classes: tuple[type[nn.Module], type[nn.Module]],
    pretrained: bool,
    arch_def: Sequence[Sequence[str]],
    stem_stride: int,
    arguments: dict[str, Any],
    features_only: bool = False,
) -> nn.Module:
    whole, features = classes
    blocks = decode_arch_def([list(stage) for stage in arch_def])
    for stage, texts in zip(blocks, arch_def, strict=True):
        for number, text in enumerate(texts):  # a text may stand for several blocks, but not this
            if NO_ACTIVATION in text.split("_"):
                stage[number]["act_layer"] = nn.Identity
    if features_only:  # timm's five are more than a network with fewer strides has
        scales = 1 + sum(stage[0]["stride"] > 1 for stage in blocks)
        arguments.setdefault("out_indices", tuple(range(scales)))
    model = build_model_with_cfg(
        _with_groups(features if features_only else whole, arch_def),
        name,
        pretrained,
        pretrained_strict=not features_only,
        kwargs_filter=HEAD_ARGUMENTS if features_only else None,
        block_args=blocks,
        **arguments,
    )
    if features_only:
        model.default_cfg = pretrained_cfg_for_features(model.default_cfg)
    if stem_stride == 1:  # timm's stem has a stride of 2, which is too much for small images
        model.conv_stem.stride = (1, 1)
        info = model.feature_info
        for stage in info if isinstance(info, list) else info.info:
            stage["reduction"] //= 2
    return model


default_cfgs = generate_default_cfgs(
    {
        name: {
            "num_classes": 1000,
            "input_size": (3, 224, 224),
            "pool_size": (7, 7),
            "fixed_input_size": False,
            "crop_pct": 0.875,
            "interpolation": "bicubic",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "first_conv": "conv_stem",
            "classifier": "classifier",
        }
        for name in ("searched_mobilenetv3", "searched_efficientnet")
    }
)


def register(entry: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """With timm, unless another copy of this file has done so: models keep one class."""
    name = entry.__name__
    known = is_model(name) and model_entrypoint(name).__code__ == entry.__code__
    return entry if known else register_model(entry)


@register
def searched_mobilenetv3(
    pretrained: bool = False,
    *,
    arch_def: Sequence[Sequence[str]],
    stem_size: int = 16,
    stem_stride: int = 2,
    head_size: int = 1280,
    features_only: bool = False,
    **kwargs: Any,
) -> nn.Module:
    """A MobileNetV3 of the blocks in ``arch_def``, which ends with a 1x1 convolution."""
    arguments = {
        "stem_size": stem_size,
        "num_features": head_size,
        "head_bias": False,
        "norm_layer": partial(nn.BatchNorm2d, **resolve_bn_args(kwargs)),
        "act_layer": resolve_act_layer(kwargs, "hard_swish"),
        "se_layer": squeeze_excite(),
    }
    return _build(
        "searched_mobilenetv3",
        (MobileNetV3, MobileNetV3Features),
        pretrained,
        arch_def,
        stem_stride,
        arguments | kwargs,
        features_only,
    )


@register
def searched_efficientnet(
    pretrained: bool = False,
    *,
    arch_def: Sequence[Sequence[str]],
    stem_size: int = 32,
    stem_stride: int = 2,
    head_size: int = 1280,
    features_only: bool = False,
    **kwargs: Any,
) -> nn.Module:
    """An EfficientNet of the blocks in ``arch_def``; ReLU6 and batch norm's epsilon of 0.001."""
    kwargs.setdefault("bn_eps", 1e-3)
    arguments = {
        "stem_size": stem_size,
        "num_features": head_size,
        "norm_layer": partial(nn.BatchNorm2d, **resolve_bn_args(kwargs)),
        "act_layer": resolve_act_layer(kwargs, "relu6"),
    }
    return _build(
        "searched_efficientnet",
        (EfficientNet, EfficientNetFeatures),
        pretrained,
        arch_def,
        stem_stride,
        arguments | kwargs,
        features_only,
    )
