"""The mobile study compares what it says it compares."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.studies.mobile.arms import Size
from benchmarks.studies.mobile.measure import (
    BAND,
    Mobile,
    draw_networks,
    find_multiplier,
    scale_mobilenet,
    shape_of,
)
from benchmarks.studies.mobile.show import summarise
from benchmarks.studies.runs import Bench
from fewshot_core.costs.table import measure
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.splitters import SplitterContext, grow_tree
from fewshot_tasks.imagenet.task import TASK
from tests.benchmarks.shared import options

WORDS = ("recipe=mobile_cifar", "data.source=images", "data.root=x")
SIZE = Size(WORDS, (2e6, 4e6), 6, 3, 12, "[[3, 5], [7]]", seeds=2)
BENCH = Bench(WORDS, (), Path("work"))
SHAPE = shape_of(BENCH.recipe())


@pytest.mark.parametrize("arm", SIZE.arms())
def test_all_arms_see_as_many_images(arm: str) -> None:
    recipe = BENCH.recipe(*SIZE.arms()[arm])
    tree = grow_tree(Region.root(TASK.space(recipe)), recipe.split, SplitterContext(0))
    regions = [region for region, parent in tree.walk() if parent is not None]
    assert len(tree.leaves()) == {"o": 1, "2": 2, "4": 4}[arm.removeprefix("few-shot, ")[0]]
    total = recipe.supernet.epochs + len(regions) * recipe.regions.epochs
    assert total == pytest.approx(SIZE.budget)


def test_the_networks_of_a_band_cost_about_the_same() -> None:
    bands = draw_networks(BENCH, SIZE)
    assert bands == draw_networks(BENCH, SIZE)
    table = TASK.costs(BENCH.recipe(), SHAPE)
    for middle, networks in zip(SIZE.bands, bands, strict=True):
        assert len(set(networks)) == SIZE.networks
        for network in networks:
            assert abs(table.costs(network)["connected_flops"] / middle - 1) <= BAND


def test_the_reference_is_scaled_to_the_band() -> None:
    for flops in SIZE.bands:
        multiplier = find_multiplier(flops, SHAPE)
        assert 0.1 <= multiplier <= 2
        network = scale_mobilenet(multiplier, SHAPE)
        assert abs(measure(network, SHAPE.input_size)["flops"] / flops - 1) < 0.15


def test_a_summary_waits_for_the_truth() -> None:
    study = Mobile(options(Mobile), Path("work"))
    study.size, study.bench, study.seeds = SIZE, BENCH, SIZE.seeds
    names = [job.key for job in study.jobs("all", {})]
    assert len(set(names)) == len(names) == 12 + 2 + 6
    rows = {
        f"truth | 0 | {i}": {"accuracy": float(i), "params": 10.0 - i, "flops": 2e6}
        for i in range(6)
    }
    rows["one-shot | seed 0"] = {"scores": {"loss": [[-1.0, 0, 1, 2, 3, 9], [0.0] * 6]}}
    found = summarise(rows, SIZE)
    assert list(found) == ["2"]
    assert found["2"]["predictors"]["one-shot"][0]["tau"] == pytest.approx(1)
    assert found["2"]["predictors"]["one-shot"][0]["deployed"] == 5.0
    assert found["2"]["predictors"]["parameters"][0]["tau"] == pytest.approx(-1)
    assert found["2"]["mobilenetv3_small"] is None
