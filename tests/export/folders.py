"""Exported folders of untrained networks, one of every kind that is exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import nn

from fewshot_core.data.decode import _crop_square
from fewshot_core.export.package import write_timm_folder
from fewshot_tasks.cifar10 import darts_network as pairs
from fewshot_tasks.cifar10 import graph_network as graphs
from fewshot_tasks.cifar10 import network as cells
from fewshot_tasks.cifar10 import stages
from fewshot_tasks.imagenet import network as mobile

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
OTHER_CELL = "|none~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
GRAPH = (
    "0111000-0001001-0000100-0000101-0000000-0000000-0000000;"
    "input,conv1x1-bn-relu,maxpool3x3,conv3x3-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,output"
)
DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 0), "
    "('avg_pool_3x3', 2), ('max_pool_3x3', 1), ('sep_conv_5x5', 3), ('skip_connect', 0), "
    "('dil_conv_3x3', 4)], normal_concat=range(2, 6), reduce=[('skip_connect', 0), "
    "('max_pool_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 2), ('avg_pool_3x3', 0), "
    "('dil_conv_3x3', 1), ('skip_connect', 3), ('sep_conv_5x5', 4)], reduce_concat=range(2, 6))"
)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@dataclass(frozen=True)
class Kind:
    """What is exported: name and arguments of the timm model, and the files that register it."""

    model: str
    arguments: Mapping[str, Any]
    sources: tuple[str, ...]
    size: int
    channels: int = 3


def _mobile(model: str, blocks: list[list[str]], **arguments: Any) -> Kind:
    more = {"arch_def": blocks, "stem_size": 8, "head_size": 16, **arguments}
    return Kind(model, more, (str(mobile.__file__),), 32)


def _cell(genotype: str, model: str = "nasbench201_cell", networks: ModuleType = cells) -> Kind:
    arguments = {"genotype": genotype, "channels": 4, "cells_per_stage": 1}
    return Kind(model, arguments, (str(stages.__file__), str(networks.__file__)), 8)


OFA = [
    ["ds_r1_k3_s1_e1_c8_nre"],
    ["ir_r1_k3_s2_e3_c8_se0.25_nre", "ir_r1_k5_s1_e3_c8_se0.25_nre"],
    ["ir_r1_k3_s2_e3_c16_nhs"],
    ["cn_r1_k1_s1_c32_nhs"],
]
PROXYLESS = [["ds_r1_k3_s1_e1_c8_nr6"], ["ir_r1_k3_s2_e3_c8_nr6"], ["ir_r1_k5_s2_e3_c16_nr6"]]
MACRO = [["cn_r1_k1_s2_c8_nid", "ir_r1_k3_s1_e3_c8_nre"], ["ir_r1_k5_s2_e6_c16_nre"]]
FBNET = [
    ["ds_r1_k5_s2_e1_c16_nre_pg2", "ds_r1_k3_s1_e1_c16_nre_pg2", "ds_r1_k3_s1_e1_c16_nre"],
    ["ir_r1_k3_s2_e3_c16_nre"],
]
KINDS = {
    "cell": _cell(CELL),
    "other cell, gray": replace(_cell(OTHER_CELL), channels=1),
    "ofa for small images, gray": replace(
        _mobile("searched_mobilenetv3", OFA, stem_stride=1), channels=1
    ),
    "proxyless": _mobile("searched_efficientnet", PROXYLESS),
    "graph": _cell(GRAPH, "nasbench1shot1_cell", graphs),
    "darts": _cell(DARTS, "darts_cells", pairs),
    "fbnet": _mobile("searched_efficientnet", FBNET, stem_stride=1, act_layer="relu"),
    "macro": _mobile("searched_efficientnet", MACRO, stem_stride=1, act_layer="relu", bn_eps=1e-5),
}


def network_of(kind: Kind, seed: int = 0) -> nn.Module:
    """Weights of ``seed``, and batch-norm statistics that are not the initial ones."""
    torch.manual_seed(seed)
    model: nn.Module = timm.create_model(
        kind.model, num_classes=5, in_chans=kind.channels, **kind.arguments
    )
    model.train()
    for _ in range(3):
        model(torch.randn(8, kind.channels, kind.size, kind.size))
    return model.eval()


def write(kind: Kind, folder: Path, seed: int = 0) -> nn.Module:
    """Fill the folder of an export; the network that it is of."""
    model = network_of(kind, seed)
    folder.mkdir(parents=True)
    write_timm_folder(
        folder,
        model,
        model_name=kind.model,
        arguments={**kind.arguments, "in_chans": kind.channels},
        sources=[Path(source) for source in kind.sources],
        input_size=(kind.channels, kind.size, kind.size),
        mean=MEAN[: kind.channels],
        std=STD[: kind.channels],
        classes=tuple("abcde"),
    )
    return model


def write_expected(kind: Kind, folder: Path, model: nn.Module) -> None:
    """What the folder should give, beside it: logits of images, and pixels of pictures."""
    images = torch.randn(6, kind.channels, kind.size, kind.size)
    mean, std = (torch.tensor(v[: kind.channels]).view(-1, 1, 1) for v in (MEAN, STD))
    pictures = []
    for size in ((kind.size, kind.size), (70, 70), (64, 41), (33, 50)):
        pixels = np.random.default_rng(0).integers(0, 256, (*size, kind.channels), np.uint8)
        picture = Image.fromarray(pixels.squeeze())
        shown = np.asarray(_crop_square(picture, kind.size))
        values = torch.tensor(shown).view(kind.size, kind.size, -1).permute(2, 0, 1) / 255
        pictures.append((torch.tensor(pixels.squeeze()), (values - mean) / std))
    expected = {"images": images, "logits": model(images).detach(), "pictures": pictures}
    torch.save(expected, folder.with_name(f"{folder.name}.pt"))
