"""The strategy benchmark: figures are what they are called, and who is broken is noticed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import strategies
import strategies_overhead
from strategies_runs import COUNTING, Curves, Files, Table, run
from strategies_show import FIGURES, markdown, plot, summary

from fewshot_core.errors import DataError
from fewshot_core.recipe.load import load_recipe
from fewshot_core.spaces.region import Region
from fewshot_core.testing.toys import total, toy_space
from tasks.cifar10.task import TASK

SPACE = toy_space(5, 5, 5)


def toy_table() -> Table:
    """The truth is the sum; the guide prefers the opposite."""
    truth = {a: total(a) for a in SPACE.enumerate()}
    return Table(SPACE, truth, {"the truth": truth, "bad": {a: -v for a, v in truth.items()}})


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
    for name in strategies.SCORES:
        with (folder / "scores" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["architecture", "accuracy", "loss"])
            writer.writerows([space.genotype(a), 50, 10 - nonlinear(a)] for a in canonical)
    return Files(folder / "truth.csv", "any", tuple(strategies._scores(folder)))


def test_the_two_figures() -> None:
    table = toy_table()
    curves = run(table, "bad", "random", 0, 60)
    assert len(curves.oracle) == len(curves.deployed) == 60
    assert (np.diff(curves.oracle) >= 0).all()
    assert (np.diff(curves.deployed) <= 0).all()  # the better the score, the worse the truth
    assert curves.deployed[-1] < 4 < curves.oracle[-1]
    assert curves.oracle[0] == curves.deployed[0]
    guided = run(table, "the truth", "random", 0, 60)
    assert (guided.oracle == guided.deployed).all()
    assert (guided.oracle == curves.oracle).all()  # random search does not look at scores


def test_a_seed_is_a_search_of_its_own() -> None:
    table = toy_table()
    one, same, other = (run(table, "bad", "rea", seed, 40).oracle for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_tables_are_read_and_equal_cells_share_a_score(files: Files) -> None:
    table = files.read()
    assert list(table.guides) == [*strategies.SCORES, "the truth (any)", COUNTING]
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


def searches(lead: float) -> dict[tuple[str, str], list[Curves]]:
    def curves(shift: float) -> list[Curves]:
        return [
            Curves(np.arange(1.0, 31) + shift + seed, np.full(30, seed + 5.0), 30, 0.1)
            for seed in range(5)
        ]

    table = ("the truth", "bad")
    return {
        (g, m): curves(lead if m == "rea" else 0.0)
        for g in table
        for m in ("random", "rea", "reinforce")
    }


@pytest.mark.parametrize(("lead", "broken"), [(1.0, []), (0.0, ["rea"]), (-1.0, ["rea"])])
def test_who_does_not_beat_random_is_broken(lead: float, broken: list[str]) -> None:
    figures = summary(searches(lead), toy_table())
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
    figures = summary(
        {("flat", "random"): searches(0.0)["bad", "random"]},
        Table(SPACE, table.truth, {"flat": guide}),
    )
    low, mean, high = figures["guides"]["flat"]["truth_of_its_best"]
    assert (low, high) == (10.0, 12.0)
    assert low < mean < high


def test_the_tables_and_the_plot() -> None:
    figures = summary(searches(1.0), toy_table())
    text = markdown(figures)
    assert "| oracle | the truth | bad |" in text
    assert "| rea | 33.00 (32.00 to 34.00) | 33.00 (32.00 to 34.00) |" in text
    assert "| the best cell by this guide | 12.00 | 0.00 |" in text
    picture = plot(figures)
    assert len(picture.axes) == 2 * len(FIGURES)


def test_the_quick_run_skips_without_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["strategies.py", "--data", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*words, "--quick"])
    assert strategies.main() == 0
    assert "skipped: " in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", words)
    assert strategies.main() == 2


def test_overhead_is_measured_for_every_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(strategies_overhead, "MODELS", ("nsga2", "tpe"))
    figures = strategies_overhead.measure(50, 25, 20)
    assert set(figures["strategies"]) == {*strategies_overhead.LONG, "nsga2", "tpe"}
    for row in figures["strategies"].values():
        assert len(row["ms_by_block"]) == strategies_overhead.BLOCKS
        assert row["ms"] > 0
    assert {"memory", "journal", "sqlite"} <= set(figures["storage"])
    assert list(tmp_path.iterdir()) == []
