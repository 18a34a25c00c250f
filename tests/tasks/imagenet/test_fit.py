"""Mobile spaces that are chosen for a size of images and a limit."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fewshot_core.data import ImageShape
from fewshot_core.recipe.fitting import Facts, Fitting
from fewshot_core.recipe.load import load_recipe
from fewshot_core.spaces.region import Region
from fewshot_tasks.imagenet.task import TASK


def choices(images: int, side: int, **given: Any) -> dict[str, Any]:
    facts = Facts(images=images, classes=8, smallest=20, side=side, channels=3)
    fitting = Fitting(facts, {key.replace("_", ".", 1): value for key, value in given.items()})
    TASK.fit(fitting)
    return {choice.key: choice.value for choice in fitting.choices}


@pytest.mark.parametrize("side", [8, 28, 32, 48, 64, 96, 144, 300])
@pytest.mark.parametrize("limit", [1e6, 30e6, 300e6])
def test_a_limit_has_networks_below_it(side: int, limit: float) -> None:
    """Of the space that is chosen some networks satisfy the limit, and it can be built."""
    chosen = choices(720, side, constraint_flops=limit)
    recipe = load_recipe(["images=x", f"flops={limit:.0f}"], chosen=chosen).recipe
    size = recipe.data.image_size
    space, shape = TASK.space(recipe), ImageShape(3, size, 8)
    costs, root = TASK.costs(recipe, shape), Region.root(space)
    rng = random.Random(0)
    flops = [costs.costs(root.sample(rng))["connected_flops"] for _ in range(50)]
    if recipe.network.width > 0.25:
        assert min(flops) <= limit
    network = TASK.network(root.sample(rng), recipe, shape)
    assert sum(parameter.numel() for parameter in network.parameters()) > 0


def test_the_widest_space_that_leaves_room_is_chosen() -> None:
    widths = [
        choices(720, 96, constraint_flops=limit)["network.width"] for limit in (30e6, 15e6, 3e6)
    ]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 3
    assert choices(720, 96, constraint_params=2e6)["network.width"] < 1
    assert choices(50_000, 300)["network.width"] == 1.0
    assert choices(720, 96)["network.width"] == 0.5


def test_small_images_are_halved_less_often() -> None:
    assert choices(720, 32)["network.stem_stride"] == 1
    assert "network.stem_stride" not in choices(720, 64)
    assert choices(720, 64)["network.strides"] == [1, 2, 2, 1, 2]
    assert "network.strides" not in choices(5_000, 128)


def test_a_space_that_is_given_is_left_as_it_is() -> None:
    shaped = choices(720, 32, network_units=[1, 2], network_width=0.5)
    assert not {"network.strides", "network.stem_stride", "network.width"} & shaped.keys()
    other = choices(720, 32, network_space="proxyless")
    assert not any(key.startswith("network.") for key in other)
