"""The mobile study compares what it says it compares."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import load_words
from mobile import summary, tasks_of
from mobile_jobs import BAND, MobilePlan, networks_of, scaled_mobilenet, shape_of

from fewshot_core.costs.table import measure
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import grow_tree
from tasks.imagenet.task import TASK

PLAN = MobilePlan(
    ("recipe=mobile_cifar", "data.source=images", "data.root=x"),
    (),
    Path("work"),
    (2e6, 4e6),
    6,
    3,
    12,
    "[[3, 5], [7]]",
)


@pytest.mark.parametrize("arm", PLAN.arms())
def test_all_arms_see_as_many_images(arm: str) -> None:
    recipe = load_words([*PLAN.words, *PLAN.arms()[arm]]).recipe
    tree = grow_tree(Region.root(TASK.space(recipe)), recipe.split, 0)
    regions = [region for region, parent in tree.walk() if parent is not None]
    assert len(tree.leaves()) == {"o": 1, "2": 2, "4": 4}[arm.removeprefix("few-shot, ")[0]]
    total = recipe.supernet.epochs + len(regions) * recipe.regions.epochs
    assert total == pytest.approx(PLAN.budget)


def test_the_networks_of_a_band_cost_about_the_same() -> None:
    shape = shape_of(PLAN.words)
    bands = networks_of(PLAN, shape)
    assert bands == networks_of(PLAN, shape)
    table = TASK.costs(load_words(list(PLAN.words)).recipe, shape)
    for middle, networks in zip(PLAN.bands, bands, strict=True):
        assert len(set(networks)) == PLAN.networks
        for network in networks:
            assert abs(table.costs(network)["connected_flops"] / middle - 1) <= BAND


def test_the_reference_is_scaled_to_the_band() -> None:
    shape = shape_of(PLAN.words)
    for flops in PLAN.bands:
        multiplier, network = scaled_mobilenet(flops, shape)
        assert 0.1 <= multiplier <= 2
        assert abs(measure(network, shape.input_size)["flops"] / flops - 1) < 0.15


def test_a_summary_waits_for_the_truth() -> None:
    names = [task.key for task in tasks_of(PLAN, 2)]
    assert len(set(names)) == len(names) == 12 + 2 + 6
    rows = {
        f"truth | 0 | {i}": {"accuracy": float(i), "params": 10.0 - i, "flops": 2e6}
        for i in range(6)
    }
    rows["one-shot | seed 0"] = {"scores": {"loss": [[-1.0, 0, 1, 2, 3, 9], [0.0] * 6]}}
    found = summary(rows, PLAN, 2)
    assert list(found) == ["2"]
    assert found["2"]["predictors"]["one-shot"][0]["tau"] == pytest.approx(1)
    assert found["2"]["predictors"]["one-shot"][0]["deployed"] == 5.0
    assert found["2"]["predictors"]["parameters"][0]["tau"] == pytest.approx(-1)
    assert found["2"]["mobilenetv3_small"] is None
