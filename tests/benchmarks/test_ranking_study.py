"""The plan of the ranking study: equal budgets, the choice of the long arms, the tables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies.cifar10 import SMALL_IMAGES, Cells
from benchmarks.studies.jobs import merge_row, read_rows
from benchmarks.studies.ranking.arms import ARMS, FIGURES, FULL, QUICK, Arm
from benchmarks.studies.ranking.measure import ArmRun, Ranking, measure_baselines
from benchmarks.studies.ranking.show import SCORE, best_arm, make_tables, summarise
from benchmarks.studies.runs import Bench, load_words
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.paths import make_paths
from fewshot_core.spaces.region import Region
from fewshot_core.training.loop import steps_for
from fewshot_tasks.cifar10.task import TASK
from tests.benchmarks.shared import options

IMAGES = 45_000
ROOT = Region.root(TASK.space(load_recipe(["recipe=nasbench201"]).recipe))


def images_of(arm: Arm, recipe: Recipe) -> int:
    """Images that all trainings of an arm show."""
    region = make_paths(recipe.regions.paths, ROOT, lambda a: 0.0)
    parent = make_paths(recipe.supernet.paths, ROOT, lambda a: 0.0)
    total = 0
    for count, settings, paths in (
        (0 if arm.regions and not arm.inherit else 1, recipe.supernet, parent),
        (arm.regions, recipe.regions, region),
    ):
        steps = steps_for(settings, IMAGES, paths.paths_per_step)
        total += count * steps * settings.batch_size * paths.paths_per_step
    return total


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
@pytest.mark.parametrize("epochs", [*FULL.epochs, *FULL.long_epochs])
def test_every_arm_of_a_budget_sees_the_same_images(
    arm: Arm, epochs: float, tmp_path: Path
) -> None:
    bench = Ranking(options(Ranking), tmp_path).bench
    recipe = load_words([*ArmRun(arm, 0, epochs).words(bench), *bench.places]).recipe
    assert images_of(arm, recipe) == pytest.approx(epochs * IMAGES, rel=0.005)


def test_arms_and_jobs_have_names_of_their_own() -> None:
    assert len({arm.name for arm in ARMS}) == len(ARMS)
    jobs = [
        ArmRun(arm, seed, epochs)
        for arm in ARMS
        for seed in (0, 1)
        for epochs in (*FULL.epochs, *QUICK.epochs)
    ]
    assert len({job.key for job in jobs}) == len({job.slug for job in jobs}) == len(jobs)


def row(
    arm: str, epochs: float, seed: int, value: float | None, cells: int = 400
) -> dict[str, Any]:
    kinds = (SCORE, "ensemble, loss")
    figures = {kind: dict.fromkeys(FIGURES, value) for kind in kinds}
    return {
        "arm": arm,
        "epochs": epochs,
        "seed": seed,
        "images": int(epochs * IMAGES),
        "cells": cells,
        "seconds": 1,
        "figures": {"cifar10": figures, "cifar100": figures},
    }


def whole(epochs: float, **values: float) -> dict[str, Any]:
    """Rows of all arms; keyword arguments name arms by their position, ``a3=0.5``."""
    return {
        f"{arm.name} {epochs} {seed}": row(arm.name, epochs, seed, values.get(f"a{place}", 0.1))
        for place, arm in enumerate(ARMS)
        for seed in range(2)
    }


def test_the_best_arm_is_that_of_the_largest_finished_budget() -> None:
    rows = whole(4, a0=0.9, a4=0.9) | whole(8, a2=0.5, a6=0.5)
    rows["begun"] = row(ARMS[1].name, 16, 0, 0.99)
    one, few = best_arm(rows, few=False), best_arm(rows, few=True)
    assert one is ARMS[2]
    assert few is ARMS[6]


def test_arms_are_compared_by_the_seeds_that_all_have_done() -> None:
    rows = whole(8, a2=0.5)
    rows["ahead"] = row(ARMS[0].name, 8, 2, 0.99)  # a third seed, of this arm alone
    assert best_arm(rows, few=False) is ARMS[2]


def test_no_arm_is_the_best_before_all_are_done() -> None:
    rows = whole(4)
    del rows[f"{ARMS[-1].name} 4 0"], rows[f"{ARMS[-1].name} 4 1"]
    assert best_arm(rows, few=True) is None
    assert best_arm({}, few=False) is None


def test_rows_of_two_workers_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    merge_row(path, "a", row("one-shot, fair", 4, 0, 0.5))
    merge_row(path, "b", row("one-shot, fair", 4, 1, 0.7))
    assert set(read_rows(path)) == {"a", "b"}


def test_the_table_shows_means_and_spread(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    space = ROOT.space
    names = [space.genotype(a) for a in list(ROOT.enumerate())[:60]]
    lines = [f"{name},{i},{i % 7}" for i, name in enumerate(names)]
    table.write_text("arch,cifar10,cifar100\n" + "\n".join(lines) + "\n")
    bench = Bench(SMALL_IMAGES, ("data.root=train.tar",), tmp_path)
    rows = {
        "a": row(ARMS[0].name, 4, 0, 0.4, 30),
        "b": row(ARMS[0].name, 4, 1, 0.6, 30),
        "c": row(ARMS[1].name, 4, 0, None, 30),
    }
    found = summarise(rows, {}, {"30": measure_baselines(bench, Cells(table, 30))})
    text = "\n\n".join(table.markdown() for table in make_tables(found))
    assert f"| {ARMS[0].name} | 0.18 | 2 | 0.500 ± {math.sqrt(0.02):.3f} |" in text
    assert f"| {ARMS[1].name} | 0.18 | 1 |  |" in text
    assert "| parameters, connected part |" in text
