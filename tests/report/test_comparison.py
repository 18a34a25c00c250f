from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from fewshot_core.data.inventory import IMAGES, Entry, Inventory, write_inventory
from fewshot_core.errors import FewshotError, RunFolderError
from fewshot_core.pipeline.compare import compare_runs, draw
from fewshot_core.recipe.compare_words import read_comparison
from fewshot_core.recipe.load import load_recipe, recipe_yaml
from fewshot_core.recipe.schema import Recipe
from fewshot_core.report import comparison_tables as tables
from fewshot_core.report.canvas import INK, themed_svg
from fewshot_core.report.comparison import Comparison, NotComparableError, compare
from fewshot_core.report.facts import read_facts
from fewshot_core.report.results_of_run import (
    SEARCHED,
    RunResult,
    UnfinishedError,
    read_result,
    read_spent,
)
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import write_json
from fewshot_core.runs.places import REUSED
from fewshot_core.runs.reuse import share_checkpoints
from fewshot_core.runs.sweeps import Member, Sweep
from fewshot_tasks.cifar10.space import nasbench201

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
OTHER = "|none~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_1x1~2|"


def inventory(images: int = 20, test_from: int = 15) -> Inventory:
    parts = ["train"] * 10 + ["validation"] * 5 + ["test"] * (images - 15)
    parts = [part if i < test_from else "test" for i, part in enumerate(parts)]
    return Inventory(
        ("a", "b"),
        {("data.root", f"{i}.png"): Entry("ab"[i % 2], part, "") for i, part in enumerate(parts)},
    )


def trained(folder: Path, images: int, seconds: float = 36.0) -> None:
    folder.mkdir(parents=True)
    state = StageState(
        step=1, steps=1, done=True, images=images, seconds=seconds, history=[[0, 1.0]]
    )
    write_json(folder / "state.json", vars(state))
    assert StageCheckpoint(folder).state().images == images


def loaded(words: Sequence[str]) -> Recipe:
    """The recipe of the words; another seed is another seed and nothing else."""
    seeds = [int(word.removeprefix("seed=")) for word in words if word.startswith("seed=")]
    others = tuple(word for word in words if not word.startswith("seed="))
    return dataclasses.replace(load_once(others), seed=(seeds or [0])[-1])


@cache
def load_once(words: tuple[str, ...]) -> Recipe:
    return load_recipe(["recipe=digits", "split=none", *words]).recipe


def make(
    run: Path,
    *words: str,
    loss: float = 0.5,
    tests: Sequence[float] = (),
    images: Inventory | None = None,
    audit: bool = False,
) -> Path:
    """A folder as search and retrain leave it."""
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text(recipe_yaml(loaded(words)))
    write_inventory(run / IMAGES, images or inventory())
    space = nasbench201()
    cell = space.parse(CELL)
    write_json(
        run / "found.json",
        space.to_json(cell)
        | {
            "score": -loss,
            "metrics": {"score": -loss, "loss": loss, "accuracy": 90.0},
            "trial": 3,
            "costs": {"connected_params": 1000.0, "connected_flops": 2_000_000.0},
        },
    )
    node = {"region": {"id": "root"}, "size": 15625, "children": []}
    write_json(run / "regions.json", node)
    trained(run / "checkpoints" / "root", 5000)
    if tests:
        results = [
            {"label": label, "seed": seed, "id": cell.id, "test": {"accuracy": value + more}}
            for label, more in (("found", 0.0), ("random", -50.0))
            for seed, value in enumerate(tests)
        ]
        write_json(run / "retrain.json", {"metric": "accuracy", "results": results})
        for seed in range(len(tests)):
            trained(run / "retrain" / f"{cell.id}-{seed}", 700)
        trained(run / "retrain" / "somebodyelse-0", 999)
        trained(run / "retrain" / f"{cell.id}-0-0123456789", 999)  # with settings of its own
    if audit:
        trained(run / "standalone" / f"{space.parse(OTHER).id}-20", 300)
        trained(run / "standalone" / f"{cell.id}-5", 200)
        (run / "audit.csv").write_text(f"architecture,score\n{OTHER},1\n")
    return run


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    """Two strategies, and a third with fewer trials, over four seeds."""
    return [read_result(run) for run in make_groups(tmp_path_factory.mktemp("groups"))]


def make_groups(folder: Path) -> list[Path]:
    tests = [[90.0, 91.0, 89.0, 92.0], [91.0, 92.5, 89.5, 94.0], [90.5, 90.0, 89.0, 91.0]]
    words = [["strategy=rea"], ["strategy=random"], ["strategy=random", "search.trials=50"]]
    return [
        make(
            folder / f"{place}-{seed}",
            *some,
            f"seed={seed}",
            loss=0.5 + place / 10 + seed / 100 + (place * seed) / 1000,
            tests=[tests[place][seed]],
        )
        for place, some in enumerate(words)
        for seed in range(4)
    ]


def of(runs: Sequence[Path], left_out: Sequence[str] = ()) -> Comparison:
    return compare([read_result(run) for run in runs], left_out)


def test_a_run_is_read_with_what_it_cost(tmp_path: Path) -> None:
    found = read_result(make(tmp_path / "run", tests=[90.0, 92.0], audit=True))
    assert found.score == 0.5
    assert found.score_kind.metric.lower
    assert found.test == {"accuracy": 91.0}
    assert found.images == {"supernets": 5000, "trainings": 200, "audit": 300, "retraining": 1400}
    assert found.seconds == {"supernets": 36, "trainings": 36, "audit": 36, "retraining": 72}


def test_groups_are_runs_that_differ_only_in_the_seed(groups: list[RunResult]) -> None:
    comparison = compare(groups)
    names = [row.group.name for row in comparison.rows]
    assert names == [
        "strategy=rea search.trials=200",
        "strategy=random search.trials=200",
        "strategy=random search.trials=50",
    ]
    assert [len(row.group.runs) for row in comparison.rows] == [4, 4, 4]
    second, third = comparison.rows[1:]
    assert second.of_test is not None
    assert second.of_test.mean == pytest.approx(1.25)
    # Two groups are held against the first, so the smaller p value is doubled.
    assert second.p_test == pytest.approx(2 * second.of_test.p)
    assert third.of_test is not None
    assert third.p_test == pytest.approx(third.of_test.p)


def test_settings_that_change_no_result_make_no_group(tmp_path: Path) -> None:
    one = make(tmp_path / "a", "seed=0")
    other = make(tmp_path / "b", "seed=1", "checkpoint_steps=7", "data.workers=1")
    comparison = of([one, other])
    assert [row.group.name for row in comparison.rows] == ["digits"]
    assert "loss" in tables.results_cells(comparison)[0][2]


def test_one_seed_twice_would_count_twice(tmp_path: Path) -> None:
    one = make(tmp_path / "a", "seed=3")
    other = make(tmp_path / "b", "seed=3")
    with pytest.raises(FewshotError, match="would count twice"):
        of([one, other])


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    one = make(tmp_path / "one", tests=[90.0])
    more = make(tmp_path / "more", "strategy=random", images=inventory(21))
    with pytest.raises(NotComparableError, match=r"other images.*came"):
        of([one, more])
    moved = make(tmp_path / "moved", "strategy=random", images=inventory(20, test_from=14))
    with pytest.raises(NotComparableError, match="other test images"):
        of([one, moved])
    other = make(tmp_path / "seed", "strategy=random", "seed=1", images=inventory(test_from=14))
    assert len(of([one, other]).rows) == 2  # other seeds may hold out others
    found = json.loads((other / "found.json").read_text())
    (other / "found.json").write_text(json.dumps(found | {"space": "darts"}))
    with pytest.raises(NotComparableError, match="another space"):
        of([one, other])


def test_scores_of_another_kind_are_marked_and_not_tested(tmp_path: Path) -> None:
    runs = [make(tmp_path / f"a{seed}", f"seed={seed}") for seed in range(3)]
    words = ("evaluator.score=accuracy",)
    runs += [make(tmp_path / f"b{seed}", *words, f"seed={seed}") for seed in range(3)]
    comparison = of(runs)
    assert comparison.rows[1].of_score is None
    assert any("another kind" in note for note in tables.notes(comparison))
    assert tables.results_cells(comparison)[1][1][2].endswith("*")
    assert "another kind" not in " ".join(tables.notes(of(runs[:3])))


def test_few_seeds_are_told(groups: list[RunResult]) -> None:
    two = compare([one for one in groups if one.run.name in ("0-0", "0-1", "1-0", "1-1")])
    notes = " ".join(tables.notes(two))
    assert "strategy=random: not tested, too few common seeds (least: 3)." in notes
    assert tables.results_cells(two)[1][1][5] == "—"
    notes = " ".join(tables.notes(compare(groups)))
    assert "with 4 common seeds only a large difference can show" in notes
    assert "corrected by Holm" in notes


def test_tables_say_the_same(groups: list[RunResult]) -> None:
    comparison = compare(groups, ["runs/x: its search has not ended"])
    rows = list(csv.DictReader(io.StringIO(tables.csv_text(comparison))))
    assert [row["seeds"] for row in rows] == ["0 1 2 3"] * 3
    assert float(rows[0]["test accuracy mean"]) == 90.5
    assert float(rows[1]["test difference"]) == pytest.approx(1.25)
    assert rows[0]["test p"] == ""
    runs = list(csv.DictReader(io.StringIO(tables.csv_of_runs(comparison))))
    assert len(runs) == 12
    mean = sum(float(row["test accuracy"]) for row in runs[4:8]) / 4
    assert mean == pytest.approx(float(rows[1]["test accuracy mean"]))
    markdown = tables.markdown_text(comparison)
    assert "| strategy=random search.trials=200 | 4 |" in markdown
    assert "Left out: runs/x: its search has not ended." in markdown
    widths = {line.count(" | ") for line in markdown.splitlines()[:5]}
    assert len(widths) == 1
    latex = tables.latex_text(comparison)
    assert r"test accuracy (\%)" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in body} == {7, 6}


def test_shared_supernets_cost_once(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    write_json(one / "checkpoints" / "origin.json", {})
    other = make(tmp_path / "other", "strategy=random")
    for path in sorted((other / "checkpoints").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (other / "checkpoints").rmdir()
    (other / "recipe.yaml").rename(tmp_path / "recipe.yaml")
    assert share_checkpoints(one, other)
    (tmp_path / "recipe.yaml").rename(other / "recipe.yaml")
    comparison = of([one, other])
    assert comparison.trained_images == 5000
    assert "were trained once: 5,000 images in all, and not 10,000" in " ".join(
        tables.notes(comparison)
    )
    assert of([other]).trained_images == 5000
    assert read_spent(other, loaded(["strategy=random"])) == {}
    assert read_facts(other, []).shares
    assert not read_facts(one, []).shares


def test_supernets_of_a_search_on_them_cost_once(tmp_path: Path) -> None:
    one, other = make(tmp_path / "one"), make(tmp_path / "other", "strategy=random")
    before = read_spent(other, loaded(["strategy=random"]))
    facts = {"recipe": "digits", "date": "", "supernets": 1, "images": 5000}
    write_json(other / REUSED, {"source": str(one), "trained": str(one), **facts})
    assert of([one, other]).trained_images == 5000
    assert {part: images for part, (images, _) in before.items()} == {SEARCHED: 5000}
    assert read_spent(other, loaded(["strategy=random"])) == {}  # it was paid by the other run


def test_the_picture_has_every_seed_and_fits_dark_pages(groups: list[RunResult]) -> None:
    svg = themed_svg(draw(compare(groups)))
    assert "prefers-color-scheme:dark" in svg
    assert svg.count(INK) == 1  # where the theme says what ink is
    assert "var(--ink)" in svg
    assert "strategy=random search.trials=50" in svg


def test_words_name_runs_patterns_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs/seed=0+strategy=rea"))
    make(Path("runs/b"), "seed=1")
    Path("runs/notes").mkdir()
    asked = read_comparison(["runs/seed=0+strategy=rea", "runs/*", "csv=a.csv"])
    assert asked.runs == (Path("runs/seed=0+strategy=rea"), Path("runs/b"))
    assert asked.files == {"csv": Path("a.csv")}
    assert read_comparison(["runs=runs/b,runs/seed*"]).runs == (
        Path("runs/b"),
        Path("runs/seed=0+strategy=rea"),
    )


def test_a_run_by_several_names_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs/a"), "seed=1")
    make(Path("sweep/seed=0"))
    words = ["recipe=digits", "seed=0,2"]
    members = [Member(name, [*words[:1], name], [name]) for name in ("seed=0", "seed=2")]
    Sweep(Path("sweep"), words, members).save()
    Path("link").symlink_to("runs/a")
    Path("linked").symlink_to("sweep")
    Path("runs/b").symlink_to("../sweep/seed=0")
    names = ["runs/a", "runs/a/", "runs/../runs/a", str(tmp_path / "runs/a"), "link", "link/"]
    asked = read_comparison([*names, "runs/*", "sweep", "linked", "s*", "sweep/", "linked/seed=0"])
    assert asked.runs == (Path("runs/a"), Path("runs/b"))
    assert asked.unfinished == ("sweep/seed=2, it has not begun",)
    assert [run.resolve().name for run in asked.runs] == ["a", "seed=0"]
    assert len(of(asked.runs).rows) == 1  # one group of two seeds


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "which runs"),
        (["runs/none"], "there is no run runs/none"),
        (["runs/*"], "there is no run"),
        (["here"], "no run folder"),
        (["cvs=a.csv", "here"], "did you mean 'csv'"),
        (["--plot", "here"], "unknown word '--plot'"),
        (["here", "csv=none/a.csv"], "there is no folder"),
        (["here", "csv="], "csv= is empty"),
        (["here", "plot=a.gif"], "must end in .svg or .png"),
        (["here", "plot=here"], "is a folder"),
    ],
)
def test_wrong_words_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    with pytest.raises(FewshotError, match=what) as caught:
        read_comparison(words)
    assert "\n" not in str(caught.value)


def test_runs_that_are_not_finished_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("a"), "seed=0")
    (make(Path("b"), "seed=1") / "found.json").unlink()
    with pytest.raises(UnfinishedError):
        read_result(Path("b"))
    compare_runs(read_comparison(["a", "b", "markdown=x.md", "plot=x.png"]))
    assert "Left out: b: its search has not ended." in capsys.readouterr().out
    assert Path("x.md").exists()
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FewshotError, match=r"no finished run to compare.*b: its search"):
        compare_runs(read_comparison(["b"]))


def test_a_damaged_run_is_one_line(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    (run / "found.json").write_text('{"space": 3}')
    with pytest.raises(RunFolderError, match="is damaged"):
        read_result(run)


def test_a_run_without_a_score_has_none(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    found = json.loads((run / "found.json").read_text())
    (run / "found.json").write_text(json.dumps(found | {"score": None, "metrics": {}}))
    result = read_result(run)
    assert result.score is None
    row = compare([result]).rows[0]
    assert math.isnan(row.p_score)
    assert tables.results_cells(compare([result]))[1][0][2] == "—"
