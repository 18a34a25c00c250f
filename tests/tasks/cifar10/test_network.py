from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn

from fewshot_core.data import ImageShape
from fewshot_core.export.package import join_sources
from fewshot_core.recipe.load import load_recipe
from fewshot_tasks.cifar10.network import (
    CellNetwork,
    live_edges,
    make_operation,
    parse_cell,
    run_cell,
)
from fewshot_tasks.cifar10.task import TASK

CELL = "|nor_conv_3x3~0|+|skip_connect~0|avg_pool_3x3~1|+|nor_conv_1x1~0|none~1|skip_connect~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|"
SMALL = {"channels": 4, "cells_per_stage": 1}


def create(genotype: str = CELL, **arguments: object) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("nasbench201_cell", genotype=genotype, **{**SMALL, **arguments})


def images(size: tuple[int, int] = (8, 8), channels: int = 3) -> Tensor:
    return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))


# --- an ordinary timm model


def test_timm_makes_it() -> None:
    assert timm.is_model("nasbench201_cell")
    model = create(num_classes=7)
    assert isinstance(model, CellNetwork)
    assert model(images()).shape == (2, 7)
    assert model.cell == tuple(parse_cell(CELL))


def test_the_defaults_are_the_benchmarks() -> None:
    model = timm.create_model("nasbench201_cell", genotype=CELL)
    assert [len(stage) for stage in model.stages] == [5, 5, 5]
    assert model.num_features == 64
    assert model.num_classes == model.pretrained_cfg["num_classes"] == 10
    assert model.pretrained_cfg["input_size"] == (3, 32, 32)


def test_the_configuration_names_real_modules() -> None:
    model = create()
    assert isinstance(model.get_submodule(model.pretrained_cfg["first_conv"]), nn.Conv2d)
    assert model.get_submodule(model.pretrained_cfg["classifier"]) is model.get_classifier()


def test_features_then_head_is_the_whole() -> None:
    model = create().eval()
    features = model.forward_features(images())
    assert features.shape == (2, 16, 2, 2)
    assert torch.equal(model.forward_head(features), model(images()))
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (2, model.head_hidden_size)
    assert torch.equal(model.head(pooled), model(images()))


def test_the_classifier_can_be_replaced() -> None:
    model = create().eval()
    features = model.forward_features(images())
    model.reset_classifier(3)
    assert model.num_classes == 3
    assert model(images()).shape == (2, 3)
    assert torch.equal(model.forward_features(images()), features)


def test_the_classifier_can_be_taken_off() -> None:
    model = create().eval()
    pooled = model.forward_head(model.forward_features(images()), pre_logits=True)
    model.reset_classifier(0)
    assert torch.equal(model(images()), pooled)
    assert torch.equal(create(num_classes=0).eval()(images()), pooled)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (9, 9), (8, 12)])
def test_any_image_size_works(size: tuple[int, int]) -> None:
    model = create().eval()
    features = model.forward_features(images(size))
    assert features.shape[2:] == tuple(-(-side // 4) for side in size)
    assert model(images(size)).shape == (2, 10)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_image_channels_works(channels: int) -> None:
    assert create(in_chans=channels)(images(channels=channels)).shape == (2, 10)


def test_every_parameter_gets_a_gradient() -> None:
    model = create().train()
    model(images()).square().sum().backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_a_cell_without_a_path_still_runs() -> None:
    model = create(DEAD)
    output = model(images())
    output.sum().backward()
    assert torch.equal(output[0], output[1])
    assert model.head.weight.grad is not None


def test_weights_are_read_back(tmp_path: Path) -> None:
    model = create()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    other = timm.create_model(
        "nasbench201_cell", genotype=CELL, **SMALL, checkpoint_path=str(tmp_path / "w.pt")
    )
    assert torch.equal(other.eval()(images()), model.eval()(images()))


def test_a_model_needs_a_cell() -> None:
    with pytest.raises(ValueError, match="not a cell"):
        create("nothing")
    with pytest.raises(ValueError, match="unknown operation 'max_pool'"):
        create(CELL.replace("skip_connect", "max_pool"))


def test_the_files_depend_on_torch_and_timm_alone(tmp_path: Path) -> None:
    """They travel with exported models to where this project is not installed."""
    code = "import sys, timm, torch\n"
    for space in ("nasbench201", "nasbench1shot1_1", "darts"):
        words = ["recipe=digits", f"network.space={space}", "network.channels=2", "split=none"]
        recipe = load_recipe(words, drop_unread=True).recipe
        architecture = TASK.space(recipe).sample(random.Random(0))
        name, arguments, sources = TASK.export_model(architecture, recipe, ImageShape(3, 8, 10))
        (tmp_path / f"exported_{space}.py").write_text(join_sources(sources))
        code += (
            f"import exported_{space}\n"
            f"model = timm.create_model({name!r}, **{arguments!r})\n"
            "assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 10)\n"
            f"assert type(model).__module__ == 'exported_{space}'\n"
        )
    code += (
        "ours = [m for m in sys.modules if m.split('.')[0] in ('fewshot_core', 'fewshot_tasks')]\n"
        "assert not ours, ours\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# --- the cell


def test_a_cell_sums_what_flows_into_a_node() -> None:
    edges = [(1, 0, "x2"), (2, 0, "x3"), (2, 1, "x5"), (3, 1, "x7"), (3, 2, "x11")]
    result = run_cell(torch.ones(1), edges, lambda edge, x: x * int(edge[2][1:]))
    assert float(result) == 2 * 7 + (3 + 2 * 5) * 11


def test_an_empty_cell_gives_zeros() -> None:
    x = torch.ones(2, 3)
    assert torch.equal(run_cell(x, [], lambda edge, x: x), torch.zeros(2, 3))


def test_dead_edges_are_not_built_unless_asked_for() -> None:
    pruned, full = (CellNetwork(parse_cell(DEAD), **SMALL, prune=prune) for prune in (True, False))
    assert list(pruned.stages[0][0].edges) == []
    assert list(full.stages[0][0].edges) == ["edge_1_0", "edge_3_2"]
    full.load_state_dict({**full.state_dict(), **pruned.state_dict()})
    assert torch.equal(full.eval()(images()), pruned.eval()(images()))


def test_live_edges_lie_on_a_path() -> None:
    assert live_edges(parse_cell(DEAD)) == []
    cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|none~2|"
    assert live_edges(parse_cell(cell)) == [(3, 0, "nor_conv_1x1")]


@pytest.mark.parametrize("name", ["nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect"])
def test_operations_keep_the_shape(name: str) -> None:
    x = torch.randn(2, 4, 5, 7)
    operation = make_operation(name, 4).eval()
    assert operation(x).shape == x.shape
    constant = torch.ones(1, 4, 5, 7)
    if name == "avg_pool_3x3":  # the border is averaged over what is there
        assert torch.equal(operation(constant), constant)
    if name == "skip_connect":
        assert torch.equal(operation(x), x)


def test_convolutions_see_only_what_is_positive() -> None:
    x = torch.randn(2, 4, 5, 5)
    operation = make_operation("nor_conv_3x3", 4).eval()
    assert torch.equal(operation(x), operation(x.clamp(min=0)))
    assert not torch.equal(operation(x), operation(-x))
