"""Whole searches under limits: what they are held against, and how regrets are summed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.studies.deployed.measure import Deployed, describe, find_limits
from benchmarks.studies.deployed.show import make_tables, mean_by_seed, regrets, summarise
from benchmarks.studies.deployed.ways import COST, PLACES, RULE, WAYS
from fewshot_core.recipe.planning import plan_search
from tests.benchmarks.shared import options

ABOUT = {
    "limits": {
        title: {
            "limit": limit,
            "networks": 9,
            "columns": {"cifar10": {"best": best, "largest": best - 1, "random": best - 4}},
        }
        for title, limit, best in (("20% meet it", 5.0, 91.0), ("no limit", None, 94.0))
    }
}


def handed(*values: float) -> dict[str, Any]:
    """A row whose networks are truly worth so much, limit by limit."""
    return {
        "limits": {
            title: {"genotype": "", "cost": 1.0, "images": 300_000, "true": {"cifar10": value}}
            for title, value in zip(ABOUT["limits"], values, strict=False)
        }
    }


def test_a_regret_is_to_the_best_within_the_limit_and_means_are_of_whole_seeds() -> None:
    way = next(iter(WAYS))
    rows = {
        "nasbench201 | table": ABOUT,
        f"nasbench201 | {way} | seed 0": handed(90.0, 93.0),
        f"nasbench201 | {way} | seed 1": handed(90.5, 94.0),
        f"nasbench201 | {way} | seed 2": handed(88.0),
    }
    figures = summarise(rows)
    found = regrets(figures["nasbench201"], "cifar10", way)
    assert found == {
        "20% meet it": {"0": 1.0, "1": 0.5, "2": 3.0},
        "no limit": {"0": 1.0, "1": 0.0},
    }
    assert mean_by_seed(found, list(found)) == {0: 1.0, 1: 0.25}  # seed 2 lacks a limit
    table = make_tables(figures)[0]
    assert table.lines[0][0] == f"{way} (3)"
    assert table.lines[0][-3:] == ["0.62 ± 0.53", "–", "93.50 ± 0.71"]
    assert table.lines[-2] == ["largest", "1.00", "1.00", "1.00", "–", "93.00"]


def test_ways_are_held_against_the_rule_seed_by_seed() -> None:
    way = next(iter(WAYS))
    rows = {"nasbench201 | table": ABOUT}
    for seed, (rule, other) in enumerate(((0.2, 1.0), (0.4, 1.4), (0.3, 1.2))):
        rows[f"nasbench201 | {RULE} | seed {seed}"] = handed(91 - rule, 94 - rule)
        rows[f"nasbench201 | {way} | seed {seed}"] = handed(91 - other, 94 - other)
    lines = {line[0]: line for line in make_tables(summarise(rows))[0].lines}
    assert lines[f"{RULE} (3)"][-2] == "–"
    assert lines[f"{way} (3)"][-2] == "0.90 [0.65, 1.15]"
    assert lines["largest"][-2] == "0.70 [0.45, 0.95]"


def test_another_budget_has_rows_of_its_own(shared_data: Path, tmp_path: Path) -> None:
    words = ("--data", str(shared_data), "--images", "1000000", "--ways", RULE)
    jobs = Deployed(options(Deployed, *words), tmp_path).jobs("nasbench201", {})
    names = [job.key.partition(" | ")[0] for job in jobs]
    assert set(names) == {"nasbench201, 1,000,000 images"}
    assert all("supernet.epochs=22.22" in job.recipe for job in jobs[1:])
    rows = {
        "nasbench201 | table": ABOUT,
        f"nasbench201 | {RULE} | seed 0": handed(90.0, 93.0),
        f"{names[0]} | table": ABOUT,
        f"{names[0]} | {RULE} | seed 0": handed(90.5, 93.5),
    }
    titles = [table.title for table in make_tables(summarise(rows))]
    assert titles == [f"{name}, cifar10: regret, in points" for name in ("nasbench201", names[0])]


def test_the_rule_of_the_study_is_that_of_a_budget() -> None:
    plan = plan_search(6.67, scored=True, limited="params").settings
    words = dict(word.split("=", 1) for word in WAYS[RULE].words)
    names = {"evaluator": "evaluator.name", "strategy": "strategy.name", "split": "split.by"}
    for key, value in words.items():
        wanted = value.replace(COST, "params")
        assert str(plan[names.get(key, key)]) == wanted, key
    assert plan["supernet.epochs"] == 6.67


def test_a_limit_lets_its_share_of_the_table_through(shared_data: Path) -> None:
    place = PLACES["nasbenchmacro"]
    about, limits = describe(place, shared_data)["limits"], find_limits(place, shared_data)
    networks = [row["networks"] for row in about.values()]
    for quantile, count in zip(limits, networks, strict=True):
        assert count == pytest.approx(quantile * networks[-1], rel=0.05)
    for row in about.values():
        values = row["columns"]["cifar10"]
        assert values["random"] < values["largest"] <= values["best"]


def test_every_way_spends_the_same_images_and_a_seed_changes_nothing_else(
    shared_data: Path, tmp_path: Path
) -> None:
    study = Deployed(options(Deployed, "--data", str(shared_data)), tmp_path)
    jobs = {job.key: job.recipe for job in study.jobs("nasbenchmacro", {})}
    for way, settings in WAYS.items():
        if way in PLACES["nasbenchmacro"].left_out:
            continue
        words = jobs[f"nasbenchmacro | {way} | seed 0"]
        assert sum(settings.spends.values()) in (0, 1), way
        for name, share in settings.spends.items():
            assert f"{name}={20 / 3 * share:.2f}" in words
        assert (way == "NASWOT") == (not settings.spends)
        other = jobs[f"nasbenchmacro | {way} | seed 1"]
        assert [w for w in words if w not in other] == ["seed=0"]
        assert sum(word.startswith("seed=") for word in words) == 1
        if settings.supernets:  # what trains them is the same
            of_owner = jobs[f"nasbenchmacro | {settings.supernets} | seed 0"]
            assert {w.split("=")[0].split(".")[0] for w in {*words} ^ {*of_owner}} == {"evaluator"}
    size = jobs["nasbenchmacro | supernet, NASWOT and size | seed 0"]
    assert "evaluator.size=flops" in size
