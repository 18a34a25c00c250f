from __future__ import annotations

import random
import warnings

import pytest
import torch
from torch import nn

from fewshot_core.costs.table import MEASURES, CostTable
from fewshot_core.data import ImageShape
from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe, recipe_type
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.cifar10.network import CellNetwork, parse_cell
from fewshot_tasks.cifar10.settings import DESCRIPTION, CellSettings
from fewshot_tasks.cifar10.task import TASK

DISCONNECTED = [
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|",
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|none~0|none~1|none~2|",
]
ALL_3X3 = "|{0}~0|+|{0}~0|{0}~1|+|{0}~0|{0}~1|{0}~2|".format("nor_conv_3x3")
SMALL = {"channels": 3, "cells_per_stage": 1}
ODD = ImageShape(channels=2, image_size=9, classes=7)


def recipe(**settings: int) -> Recipe:
    return recipe_type(DESCRIPTION.sections)(network=CellSettings(**settings))


def network(genotype: str, shape: ImageShape, prune: bool, **settings: int) -> CellNetwork:
    sizes = {"num_classes": shape.classes, "in_chans": shape.channels}
    return CellNetwork(parse_cell(genotype), prune=prune, **sizes, **settings)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def small_table() -> CostTable:
    return TASK.costs(recipe(**SMALL), ODD)


def cells(count: int) -> list[Architecture]:
    space = TASK.space(recipe())
    drawn = random.Random(0).sample(list(space.enumerate()), count)
    return drawn + [space.parse(genotype) for genotype in [*DISCONNECTED, ALL_3X3]]


def fvcore_counts(module: nn.Module, shape: ImageShape) -> dict[str, float]:
    """fvcore asked directly, without this project's own way of asking it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(module.eval(), torch.zeros(1, *shape.input_size))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        operators = analysis.by_operator()
        return {
            "connected_flops": operators["conv"] + operators["linear"],
            "connected_fvcore_flops": analysis.total(),
        }


def test_parameters_are_those_that_torch_counts(small_table: CostTable) -> None:
    for cell in cells(100):
        genotype, costs = small_table.space.genotype(cell), small_table.costs(cell)
        assert costs["params"] == parameters(network(genotype, ODD, prune=False, **SMALL))
        assert costs["connected_params"] == parameters(network(genotype, ODD, prune=True, **SMALL))


def test_flops_are_those_that_fvcore_counts(small_table: CostTable) -> None:
    for cell in cells(60):
        genotype, costs = small_table.space.genotype(cell), small_table.costs(cell)
        counted = fvcore_counts(network(genotype, ODD, prune=True, **SMALL), ODD)
        assert {name: costs[name] for name in counted} == counted, genotype


def test_a_cell_without_a_path_costs_what_is_around_it(small_table: CostTable) -> None:
    for genotype in DISCONNECTED:
        costs = small_table.costs(small_table.space.parse(genotype))
        for name in MEASURES:
            assert costs[f"connected_{name}"] == small_table.base[name]
    assert costs["params"] > costs["connected_params"]


@pytest.mark.parametrize("recipe_channels", [1, 16])
def test_settings_count(recipe_channels: int) -> None:
    shape = ImageShape(channels=1, image_size=8, classes=10)
    settings = {"channels": recipe_channels, "cells_per_stage": 2}
    table = TASK.costs(recipe(**settings), shape)
    costs = table.costs(table.space.parse(ALL_3X3))
    module = network(ALL_3X3, shape, prune=True, **settings)
    assert costs["connected_params"] == parameters(module)
    assert costs["connected_flops"] == fvcore_counts(module, shape)["connected_flops"]


def test_the_figures_of_the_benchmark() -> None:
    """220.12 MFLOPs and 1.53 M parameters, as NAS-Bench-201 gives for this cell."""
    shape = ImageShape(channels=3, image_size=32, classes=10)
    table = TASK.costs(recipe(), shape)
    costs = table.costs(table.space.parse(ALL_3X3))
    assert costs["params"] == costs["connected_params"] == 1_531_546
    assert costs["flops"] == costs["connected_flops"] == 220_119_040 + 640


def test_a_small_cells_figures_by_hand() -> None:
    shape = ImageShape(channels=1, image_size=4, classes=2)
    genotype = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    table = TASK.costs(recipe(channels=1, cells_per_stage=1), shape)
    costs = table.costs(table.space.parse(genotype))
    norms = 2 * (1 + 2 + 2 + 4 + 4 + 4)  # stem, two in each reduction, the last
    convolutions = 9 + (18 + 36 + 2) + (72 + 144 + 8)
    assert costs["params"] == convolutions + norms + (4 * 2 + 2) + (1 + 4 + 16) + 2 * (1 + 2 + 4)
    assert costs["flops"] == (
        16 * 9 + 4 * (18 + 36 + 2) + 1 * (72 + 144 + 8) + 4 * 2 + 16 * 1 + 4 * 4 + 1 * 16
    )


def test_an_unknown_space_names_the_near_one() -> None:
    with pytest.raises(RecipeError, match=r"network\.space=nasbench_201 is none of.*'nasbench201'"):
        load_recipe(["recipe=digits", "network.space=nasbench_201"])


@pytest.mark.parametrize("name", ["channels", "supernet_channels", "supernet_cells_per_stage"])
def test_a_network_has_channels_and_cells(name: str) -> None:
    with pytest.raises(RecipeError, match=rf"^network\.{name}=0 must be at least 1$"):
        load_recipe(["recipe=digits", f"network.{name}=0"])
