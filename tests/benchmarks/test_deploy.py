"""Which networks have learning curves, and in which order they are trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies.cifar10 import costs_of
from benchmarks.studies.deploy.curves import (
    BANDS,
    BLOCK,
    PLACES,
    Deploy,
    curves_of,
    draw_networks,
    read_once,
)
from tests.benchmarks.shared import options


@pytest.fixture
def study(shared_data: Path, tmp_path: Path) -> Deploy:
    return Deploy(options(Deploy, "--data", str(shared_data)), tmp_path)


def finished(study: Deploy, stage: str, rows: dict[str, Any]) -> dict[str, Any]:
    """Rows of all jobs of a stage, as if a network were the better the smaller its id."""
    done = dict(rows)
    for job in study.jobs(stage, rows):
        which = job.recipe[-1].removeprefix("networks=").split()
        networks = {name: [100 - int(name, 16) / 2**48 * 90, 1.0] for name in which}
        done[job.key] = {"recipe": job.recipe, "networks": networks}
    return done


@pytest.mark.parametrize("name", PLACES)
def test_half_of_any_beginning_costs_more_than_the_median(study: Deploy, name: str) -> None:
    place, costs = study.places[name], costs_of(study.benches[name].recipe())
    drawn = study._drawn(name)
    known = read_once(place, place.columns[0], study.data)
    prices = sorted(costs.costs(a)[place.cost] for a in known)
    median = prices[len(prices) // 2]
    assert len(set(drawn)) == len(drawn) == place.networks
    for count in (10, 100, len(drawn)):
        upper = sum(costs.costs(a)[place.cost] > median for a in drawn[:count])
        assert upper == count // 2
    fewer = draw_networks(replace(place, networks=30), study.data, costs)
    assert fewer == drawn[:30]


def test_longer_trainings_are_those_of_the_better_networks(study: Deploy) -> None:
    rows: dict[str, Any] = {}
    assert not study.jobs("length3", rows)
    for stage in ("length1", "length2"):
        rows = finished(study, stage, rows)
        assert len(curves_of("nasbench201", rows)) == int(stage[-1])
    less = dict(rows)
    less.pop("nasbench201 | 22000 images | seed 0 | 0")
    assert {job.key.split(" | ")[0] for job in study.jobs("length3", less)} == {"nasbenchmacro"}
    rows = finished(study, "length4", finished(study, "length3", rows))
    for name, place in study.places.items():
        curves = curves_of(name, rows)
        counts = [len(curves[images, 0]) for images in (6_000, 22_000, 67_000, 200_000)]
        assert counts == [
            place.networks,
            place.networks,
            -(-place.networks // 3),
            place.networks // 10,
        ]
        assert {*curves[200_000, 0]} < {*curves[67_000, 0]} < {*curves[22_000, 0]}
        costs = costs_of(study.benches[name].recipe())
        prices = {a.id: costs.costs(a)[place.cost] for a in study._drawn(name)}
        by_price = sorted(prices, key=lambda name: (prices[name], name))
        for start in range(0, place.networks, place.networks // BANDS):
            band = sorted(by_price[start : start + place.networks // BANDS])
            longer = sorted(set(band) & {*curves[67_000, 0]})
            assert longer == band[: len(longer)]
            assert len(longer) in (len(band) // 3, len(band) // 3 + 1)


def test_places_take_turns_and_a_second_seed_has_the_first_networks(study: Deploy) -> None:
    first = study.jobs("length1", {})
    assert [job.key.split(" | ")[0] for job in first[:4]] == ["nasbench201", "nasbenchmacro"] * 2
    again = [job for job in study.jobs("again", {}) if job.key.startswith("nasbench201")]
    assert {job.key.split(" | ")[1] for job in again} == {"6000 images", "22000 images"}
    assert len(again) == 2 * -(-study.places["nasbench201"].networks // 5 // BLOCK)
    assert again[0].recipe[-1] == first[0].recipe[-1]
    assert "seed=1" in again[0].recipe
