"""The strategy benchmark: figures are what they are called, and who is broken is noticed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import overhead
from benchmarks.studies.strategies.measure import Strategies, measure_method, search_once
from benchmarks.studies.strategies.show import (
    FIGURES,
    draw_curves,
    make_docs_tables,
    make_tables,
    summarise,
)
from benchmarks.studies.strategies.table import (
    BENCHMARKS,
    COUNTING,
    SCORES,
    Files,
    GuidedTable,
    points_of,
)
from benchmarks.studies.study import main
from fewshot_core.errors import DataError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.spaces.region import Region
from fewshot_core.testing.toys import total, toy_space
from fewshot_tasks.cifar10.task import TASK

SPACE = toy_space(5, 5, 5)


def toy_table() -> GuidedTable:
    """The truth is the sum; the guide prefers the opposite."""
    truth = {a: total(a) for a in SPACE.enumerate()}
    return GuidedTable(SPACE, truth, {"the truth": truth, "bad": {a: -v for a, v in truth.items()}})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Every cell of the real space with a made-up truth, and scores of the distinct ones."""
    folder = tmp_path_factory.mktemp("tables")
    space = TASK.space(load_recipe(["recipe=nasbench201"]).recipe)
    cells = list(space.enumerate())
    nonlinear = space.features()["nonlinear"]
    with (folder / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "any"])
        writer.writerows([space.genotype(a), 90 + nonlinear(a) / 2] for a in cells)
    canonical = {space.canonical(a) for a in cells}
    (folder / "scores").mkdir()
    for name in SCORES:
        with (folder / "scores" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["architecture", "accuracy", "loss"])
            writer.writerows([space.genotype(a), 50, 10 - nonlinear(a)] for a in canonical)
    scores = tuple((name, folder / "scores" / f"{name}.csv") for name in SCORES)
    return Files(folder / "truth.csv", "any", scores)


def test_the_two_figures() -> None:
    table = toy_table()
    row = search_once(table, "bad", "random", 0, 60)
    oracle, deployed = np.array(row["oracle"]), np.array(row["deployed"])
    assert len(oracle) == len(deployed) == len(points_of(60)) == 19
    assert (np.diff(oracle) >= 0).all()
    assert (np.diff(deployed) <= 0).all()  # the better the score, the worse the truth
    assert deployed[-1] < 4 < oracle[-1]
    assert oracle[0] == deployed[0]
    guided = search_once(table, "the truth", "random", 0, 60)
    assert guided["oracle"] == guided["deployed"]
    assert guided["oracle"] == row["oracle"]  # random search does not look at scores


def test_the_first_of_the_best() -> None:
    table = toy_table()
    assert table.top == 12.0  # one of 125
    row = search_once(table, "the truth", "rea", 0, 200)
    reached = [
        point for point, best in zip(points_of(200), row["oracle"], strict=True) if best == 12
    ]
    assert reached
    assert reached[0] >= row["first"] > max(p for p in points_of(200) if p < reached[0])
    never = search_once(table, "bad", "rea", 0, 20)
    assert (max(never["oracle"]) < 12, never["first"]) == (True, 21)


def test_equal_networks_have_one_truth_where_the_benchmark_says_so(shared_data: Path) -> None:
    benchmark = BENCHMARKS["nasbenchmacro"]
    table = Files(shared_data / benchmark.file, "cifar10", benchmark="nasbenchmacro").read()
    parse = table.space.parse
    assert len(table.truth) == 3969
    assert table.row(parse("10201002")) == table.row(parse("10210020")) in table.truth
    # The fourth of 3,969 networks, and not of 6,561 codes.
    assert sum(value >= table.top for value in table.truth.values()) == 4


def test_a_search_tries_no_network_that_the_table_lacks() -> None:
    whole = toy_table()
    part = {a: value for a, value in whole.truth.items() if a.choices[0]}
    table = GuidedTable(SPACE, part, {"truth": part})
    assert whole.truth.keys() - part.keys()
    for method in ("random", "rea", "tpe", "lanas"):
        row = search_once(table, "truth", method, 0, 30)  # a network without a value is a KeyError
        assert row["distinct"] > 1


def test_a_seed_is_a_search_of_its_own() -> None:
    table = toy_table()
    one, same, other = (search_once(table, "bad", "rea", s, 40)["oracle"] for s in (1, 1, 2))
    assert one == same
    assert one != other


def test_tables_are_read_and_equal_cells_share_a_score(files: Files) -> None:
    table = files.read()
    assert list(table.guides) == files.guides == [*SCORES, "the truth (any)", COUNTING]
    assert len(table.truth) == 15_625
    space = table.space
    for architecture in list(Region.root(space).enumerate())[::500]:
        twin = space.canonical(architecture)
        assert table.guides["few-shot"][architecture] == table.guides["few-shot"][twin]
        assert table.guides["few-shot"][twin] == space.features()["nonlinear"](twin) - 10
    assert table.guides["the truth (any)"] is table.truth


def test_a_column_that_is_missing_is_an_error(files: Files) -> None:
    with pytest.raises(DataError, match="cifar11"):
        Files(files.truth, "cifar11").read()


def searches(lead: float) -> dict[str, dict[str, Any]]:
    """Rows of searches with 30 trials; ``rea`` is so far ahead."""

    def runs(shift: float) -> list[dict[str, Any]]:
        return [
            {
                "oracle": [point + shift + seed for point in points_of(30)],
                "deployed": [seed + 5.0 for _ in points_of(30)],
                "distinct": 30,
                "seconds": 0.1,
            }
            for seed in range(5)
        ]

    table = ("the truth", "bad")
    return {
        f"{g} | {m}": {"guide": g, "method": m, "runs": runs(lead if m == "rea" else 0.0)}
        for g in table
        for m in ("random", "rea", "reinforce")
    }


@pytest.mark.parametrize(("lead", "broken"), [(1.0, []), (0.0, ["rea"]), (-1.0, ["rea"])])
def test_who_does_not_beat_random_is_broken(lead: float, broken: list[str]) -> None:
    figures = summarise(searches(lead), toy_table(), 30)
    # Guided by anything else it may, and reinforce is not held to it.
    assert figures["broken"] == broken
    row = figures["guides"]["the truth"]["methods"]["rea"]["oracle"]
    assert row["lead_over_random"] == lead
    assert row["end"] == [31 + lead, 32 + lead, 33 + lead]
    assert row["median"][0] == 3 + lead
    assert (figures["at"][0], figures["at"][-1]) == (1, 30)


def test_equal_networks_have_several_truths() -> None:
    table = toy_table()
    guide = {a: float(v >= 10) for a, v in table.truth.items()}
    rows = {"flat | random": searches(0.0)["bad | random"] | {"guide": "flat"}}
    figures = summarise(rows, GuidedTable(SPACE, table.truth, {"flat": guide}), 30)
    low, mean, high = figures["guides"]["flat"]["truth_of_its_best"]
    assert (low, high) == (10.0, 12.0)
    assert low < mean < high


def test_the_tables_and_the_plot() -> None:
    figures = summarise(searches(1.0), toy_table(), 30)
    text = "\n\n".join(table.markdown() for table in make_docs_tables(figures))
    assert "| oracle | the truth | bad |" in text
    assert "| rea | 33.00 (32.00 to 34.00) | 33.00 (32.00 to 34.00) |" in text
    assert "| the best cell by this guide | 12.00 | 0.00 |" in text
    assert len(make_tables(figures)) == 2
    picture = draw_curves(figures)
    assert len(picture.axes) == 2 * len(FIGURES)


def test_the_quick_run_skips_without_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(tmp_path)]
    assert main(Strategies, None, [*words, "--quick"]) == 0
    assert "skipped: " in capsys.readouterr().out
    assert main(Strategies, None, words) == 2


def test_a_row_has_a_search_for_each_seed(files: Files) -> None:
    row = measure_method(files, COUNTING, "random", 2, 30)
    again = search_once(files.read(), COUNTING, "random", 1, 30)
    assert len(row["runs"]) == 2
    assert row["runs"][1] | {"seconds": 0} == again | {"seconds": 0}


def test_overhead_is_measured_for_every_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(overhead, "MODELS", ("nsga2", "tpe"))
    figures = overhead.measure(50, 25, 20)
    assert set(figures["strategies"]) == {*overhead.LONG, "nsga2", "tpe"}
    for row in figures["strategies"].values():
        assert len(row["ms_by_block"]) == overhead.BLOCKS
        assert row["ms"] > 0
    assert {"memory", "journal", "sqlite"} <= set(figures["storage"])
    assert list(tmp_path.iterdir()) == []
