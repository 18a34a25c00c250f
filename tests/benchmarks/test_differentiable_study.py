"""The study of differentiable strategies: equal budgets, a truth that chooses nothing, tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.studies.cifar10 import COLUMNS
from benchmarks.studies.differentiable.arms import (
    ARMS,
    FULL,
    NETWORK,
    SHOTS,
    STAGES,
    Arm,
    Size,
)
from benchmarks.studies.differentiable.measure import (
    Differentiable,
    make_job,
    measure_baselines,
    read_truth,
)
from benchmarks.studies.differentiable.show import LOOKS, draw_methods, make_tables, summarise
from benchmarks.studies.jobs import Job, read_rows
from benchmarks.studies.runs import Bench, load_words
from benchmarks.studies.study import main
from fewshot_core.pipeline.relaxation import Relaxation
from fewshot_core.plugins import names_with
from fewshot_core.recipe.load import load_recipe
from fewshot_core.recipe.schema import Recipe
from fewshot_tasks.cifar10.task import TASK
from tests.benchmarks.shared import options

IMAGES = 45_000
SPACE = TASK.space(load_recipe(["recipe=nasbench201"]).recipe)

DIFFERENTIABLE = names_with("strategy", "differentiable")


class Paper:
    """What :class:`Relaxation` looks at to count steps."""

    def __init__(self, recipe: Recipe, region: Any, is_root: bool) -> None:
        self.recipe = recipe
        self.root = region if is_root else None
        self.splitting = SimpleNamespace(parent_epochs=recipe.supernet.epochs)
        self.images = SimpleNamespace(search_data=lambda: SimpleNamespace(train=range(IMAGES)))


class Named:
    def __init__(self, id: str) -> None:
        self.id = id


def images_of(recipe: Recipe, region: str) -> int:
    """Images that one training shows, both batches counted."""
    settings = recipe.regions if region == "region" else recipe.supernet
    if recipe.strategy.name not in DIFFERENTIABLE:
        return round(settings.epochs * IMAGES)
    named: Any = Named(region)
    run: Any = Paper(recipe, named, is_root=region != "region")
    training = Relaxation(run, named)
    return settings.batch_size * (2 * training.steps - training.first)


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: f"{arm.method.name}, {arm.shots}")
def test_every_arm_sees_the_same_images_and_scores_as_many_cells(arm: Arm, tmp_path: Path) -> None:
    study = Differentiable(options(Differentiable), tmp_path)
    job = make_job(arm, 0, study.bench, study.table, FULL)
    recipe = load_words([*job.recipe, *study.bench.places]).recipe
    regions = SHOTS[arm.shots].regions
    total = regions * images_of(recipe, "region") if regions else 0
    if not regions or recipe.regions.inherit:
        total += images_of(recipe, "parent")
    assert total == pytest.approx(FULL.epochs * IMAGES, rel=0.01)
    if arm.method.scores_many:
        if recipe.strategy.name in DIFFERENTIABLE:
            scored = recipe.preferences.samples * max(1, regions)
        else:
            scored = recipe.search.trials
        assert scored == FULL.scored


def test_jobs_have_names_of_their_own() -> None:
    bench = Bench((), (), Path())
    jobs = [make_job(arm, seed, bench, Path(), FULL) for arm in ARMS for seed in (0, 1)]
    assert len({job.key for job in jobs}) == len({job.slug for job in jobs}) == len(jobs)
    assert set(LOOKS) == set(SHOTS)
    assert {arm.method.stage for arm in ARMS} == set(STAGES)


def test_all_four_are_there_in_the_first_stage(tmp_path: Path) -> None:
    for words in ([], ["--quick"]):
        study = Differentiable(options(Differentiable, *words), tmp_path)
        jobs = study.jobs(STAGES[0], {})
        places = study.bench.places
        found = {load_words([*job.recipe, *places]).recipe.strategy.name for job in jobs}
        assert found == {*DIFFERENTIABLE, "random"}
        assert len(jobs) == 5 * len(SHOTS) * study.seeds


# -- a job -----------------------------------------------------------------------------------------


def table(path: Path, sign: int) -> Path:
    """A made-up truth for every cell."""
    cells = enumerate(SPACE.genotype(a) for a in SPACE.enumerate())
    lines = [f"{cell},{50 + sign * n / 1000:.3f},{n / 1000:.3f}" for n, cell in cells]
    path.write_text("arch,cifar10,cifar100\n" + "\n".join(lines) + "\n")
    return path


SIZE = Size(1, 1, 10, ("recipe=digits", *NETWORK, "data.limit=120", "evaluator.recalibrate=32"))


def digits(method: str, shots: str, seed: int, folder: Path, sign: int = 1) -> Job:
    """A job of a tiny study on digits, with a made-up truth."""
    folder.mkdir()
    arm = next(a for a in ARMS if (a.method.name, a.shots) == (method, shots))
    bench = Bench(SIZE.words, (), folder / "work")
    return make_job(arm, seed, bench, table(folder / "table.csv", sign), SIZE)


def test_the_truth_is_looked_up_and_chooses_nothing(tmp_path: Path) -> None:
    one, other = (
        digits("SETN", "few-shot", 3, tmp_path / name, sign).measure()
        for name, sign in (("one", 1), ("other", -1))
    )
    for row in (one, other):
        assert len(row["regions"]) == 5
        best = max((r["best"] for r in row["regions"]), key=lambda cell: cell["score"])
        assert row["found"] == best
        assert all(r["cells"] <= 2 for r in row["regions"])
        # Each region shows 20 images, and a step is 128.
        assert row["images"] == 5 * 128
        assert 0.2 < row["peak"] < 1
    assert one["found"]["cell"] == other["found"]["cell"]
    assert one["found"]["truth"]["cifar10"] - 50 == 50 - other["found"]["truth"]["cifar10"]
    choices = SPACE.parse(one["found"]["cell"]).choices
    assert one["found"]["skips"] == choices.count("skip_connect")
    assert one["found"]["nones"] == choices.count("none")


def test_a_row_is_made_once_for_its_settings(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    job = digits("random search", "one-shot", 0, tmp_path / "one")
    assert not job.is_done(rows)
    job.run(rows)
    row = read_rows(rows)[job.key]
    assert row["peak"] is None
    assert [r["cells"] for r in row["regions"]] == [10]
    assert job.is_done(rows)
    longer = [word.replace("epochs=1", "epochs=2") for word in job.recipe]
    assert longer != job.recipe
    assert not replace(job, recipe=longer).is_done(rows)


# -- tables ----------------------------------------------------------------------------------------


def cell(truth: float, skips: int = 1) -> dict[str, Any]:
    return {
        "cell": "|none~0|",
        "score": -1.0,
        "truth": dict.fromkeys(COLUMNS, truth),
        "skips": skips,
        "nones": 0,
        "params": 30_000,
    }


def row(shots: str, seed: int, truths: list[float], method: str = "DARTS") -> dict[str, Any]:
    """The first region is the one that was chosen."""
    return {
        "method": method,
        "shots": shots,
        "seed": seed,
        "images": 270_000,
        "training_seconds": 10,
        "peak": 0.3,
        "found": cell(truths[0]),
        "regions": [{"region": str(n), "best": cell(t)} for n, t in enumerate(truths)],
    }


def test_tables_and_plot(tmp_path: Path) -> None:
    bench, truth = Bench(SIZE.words, (), tmp_path), read_truth(table(tmp_path / "table.csv", 1))
    rows = {
        "b": row("few-shot", 1, [70.0, 90.0]),
        "a": row("few-shot", 0, [80.0, 60.0]),
        "c": row("one-shot", 0, [50.0]),
        "d": row("one-shot", 0, [40.0], "random search"),
    }
    figures = summarise(rows, {}, measure_baselines(bench, truth))
    assert [(arm["method"], arm["shots"]) for arm in figures["arms"]] == [
        ("DARTS", "one-shot"),
        ("DARTS", "few-shot"),
        ("random search", "one-shot"),
    ]
    few = figures["arms"][1]
    assert few["seeds"] == [0, 1]
    assert few["truth"]["cifar10"] == [80.0, 70.0]
    assert few["regions_mean"]["cifar10"] == [70.0, 80.0]
    assert few["regions_best"]["cifar10"] == [80.0, 90.0]
    text = "\n\n".join(table.markdown() for table in make_tables(figures))
    assert "| DARTS, few-shot | 270,000 | 2 | 75.00 ± 7.07 | 75.00 ± 7.07 | 1.0 ± 0.0 |" in text
    assert "| DARTS, few-shot | 2 | 75.00 ± 7.07 | 75.00 ± 7.07 | 85.00 ± 7.07 |" in text
    assert "| DARTS, one-shot | 1 |" not in text  # one region: nothing was chosen
    assert len(draw_methods(figures).axes[0].collections) == 3


def test_baselines_are_those_of_the_table(tmp_path: Path) -> None:
    truth = read_truth(table(tmp_path / "table.csv", 1))
    found = measure_baselines(Bench(SIZE.words, (), tmp_path), truth)
    values = truth["cifar10"]
    largest = found["cells"]["largest cell"]
    assert set(SPACE.parse(largest).choices) == {"nor_conv_3x3"}
    assert found["cifar10"]["largest cell"] == values[largest]
    assert found["cifar10"]["random cell"][0] == pytest.approx(sum(values.values()) / 15_625)
    assert found["cifar10"]["best cell"] == max(values.values())


def test_the_quick_run_skips_without_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(tmp_path)]
    assert main(Differentiable, None, [*words, "--quick"]) == 0
    assert "skipped: " in capsys.readouterr().out
    assert main(Differentiable, None, words) == 2
