"""Several processes on one machine: together on every training, or each on its own."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.processes import Team
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.splitters import ByDecision
from fewshot_core.testing.toys import toy_space
from tests.faults.conftest import Reference, undisturbed  # noqa: F401
from tests.faults.tasks import TASKS, Tiny
from tests.tools.outcome import weights
from tests.tools.process import Done, launch, succeed, words_of
from tests.tools.tiny import GAN, MOBILE, TINY

SMALL = TINY | {"audit.networks": 3, "supernet.batch_size": 48, "retrain.compare": "[random]"}


def together(processes: int, tool: str, words: list[str], cwd: Path, **more: Any) -> list[Done]:
    done = [one.wait() for one in launch(processes, tool, words, cwd, **more)]
    assert [one.code for one in done] == [0] * processes, "\n".join(one.err for one in done)
    return done


def processes_of(run: Path) -> int:
    return int(json.loads((run / "environment.json").read_text())["processes"])


# --- processes=regions


@pytest.mark.parametrize(
    ("processes", "changes"),
    [
        (2, {"split": "decision", "split.groups": "[]"}),  # five regions on two
        (3, {"audit.networks": 0}),  # two regions on three
        (2, {"split": "gradients", "split.samples": 2, "split.groups": "[]", "audit.networks": 0}),
        (2, {"strategy": "enas", "preferences.samples": 2, "audit.networks": 0}),
        (2, {"strategy": "random", "audit.networks": 0, "regions.inherit": "false"}),
        (
            2,
            {
                "evaluator": "standalone",
                "evaluator.epochs": 0.2,
                "search.trials": 3,
                "audit.networks": 0,
            },
        ),
    ],
    ids=["more-regions", "fewer-regions", "learned", "enas", "random", "standalone"],
)
def test_regions_are_those_of_one_process(
    processes: int, changes: dict[str, object], tmp_path: Path
) -> None:
    for name in ("one", "many"):
        words = words_of(SMALL | changes, run=name, processes="regions")
        together(1 if name == "one" else processes, "search", words, tmp_path)
    one, many = tmp_path / "one", tmp_path / "many"
    assert (processes_of(one), processes_of(many)) == (1, processes)
    assert weights(one) == weights(many)
    for name in ("trials.csv", "found.json", "pareto.json", "regions.json", "audit.csv"):
        assert (one / name).exists() == (many / name).exists()
        if (one / name).exists():
            assert (one / name).read_text() == (many / name).read_text()


@pytest.mark.parametrize("task", TASKS[1:], ids=lambda task: task.name)
def test_regions_of_the_other_tasks(
    task: Tiny,
    undisturbed: Callable[[Tiny], Reference],  # noqa: F811
    tmp_path: Path,
) -> None:
    """Retraining too, and what is measured at the end."""
    together(2, "search", task.words(processes="regions"), tmp_path)
    together(2, "retrain", ["run=run"], tmp_path)
    one, many = undisturbed(task).run, tmp_path / "run"
    assert (processes_of(one), processes_of(many)) == (1, 2)
    assert weights(one) == weights(many)
    assert (one / "trials.csv").read_text() == (many / "trials.csv").read_text()
    tests = [
        [result["test"] for result in json.loads((run / "retrain.json").read_text())["results"]]
        for run in (one, many)
    ]
    assert tests[0] == tests[1]
    said = [{p.relative_to(r): p.read_text() for p in r.rglob("predictions.json")}
            for r in (one, many)]  # fmt: skip
    assert said[0] == said[1]
    assert bool(said[0]) == (task.name == "imagenet")


@pytest.mark.parametrize(
    ("processes", "tiny"), [(2, GAN), (3, MOBILE)], ids=["2-autogan", "3-imagenet"]
)
def test_data_of_the_other_tasks(processes: int, tiny: dict[str, object], tmp_path: Path) -> None:
    """All processes train every supernet, and agree on what it says."""
    settings = tiny | {"supernet.batch_size": 48, "regions.batch_size": 48, "search.trials": 4}
    together(processes, "search", words_of(settings, run="run"), tmp_path)
    assert processes_of(tmp_path / "run") == processes
    states = [json.loads(p.read_text()) for p in (tmp_path / "run").rglob("state.json")]
    assert all(state["done"] for state in states)
    with (tmp_path / "run" / "trials.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4


def test_retraining_is_dealt_out(tmp_path: Path) -> None:
    words = words_of(SMALL, run="run", processes="regions", **{"audit.networks": 0})
    succeed("search", words, tmp_path)
    together(2, "retrain", ["run=run"], tmp_path)
    two = weights(tmp_path / "run")
    results = json.loads((tmp_path / "run" / "retrain.json").read_text())["results"]
    for path in (tmp_path / "run" / "retrain").iterdir():
        (path / "state.json").unlink()
    succeed("retrain", ["run=run"], tmp_path)
    assert weights(tmp_path / "run") == two
    again = json.loads((tmp_path / "run" / "retrain.json").read_text())["results"]
    assert [r["test"] for r in again] == [r["test"] for r in results]


def test_what_some_processes_began_any_number_ends(tmp_path: Path) -> None:
    words = words_of(SMALL, run="run", processes="regions", **{"audit.networks": 0})
    together(2, "search", words, tmp_path)
    before = weights(tmp_path / "run")
    done = succeed("search", words_of(SMALL, run="run", **{"audit.networks": 0}), tmp_path)
    assert weights(tmp_path / "run") == before
    assert "report" in done.out


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_who_trains_what(size: int) -> None:
    class Launch:
        num_processes, process_index = size, 0

    space = toy_space(2, 5)
    root = Region.root(space)
    tree = RegionTree(root).grow(ByDecision(space.decisions[0].name))
    owners = Team(Launch(), True).owners(tree)  # type: ignore[arg-type]
    assert set(owners) == {root, *tree.leaves()}
    assert owners[root] == owners[tree.leaves()[0]] == 0
    counts = [[owners[leaf] for leaf in tree.leaves()].count(rank) for rank in range(size)]
    assert max(counts) - min(counts) <= 1


# --- processes=data


def log_the_loss(path: Path) -> None:
    """Run in the process: keep every step's loss exactly, and the number of processes."""
    import fewshot_core.training.loop as training

    plain = training.FiniteGuard.require_finite

    def noted(self: training.FiniteGuard) -> float:
        loss = plain(self)
        with path.with_suffix(f".{os.environ.get('RANK', 0)}").open("a") as file:
            file.write(f"{self._accelerator.num_processes} {self._name} {loss!r}\n")
        return loss

    training.FiniteGuard.require_finite = noted  # type: ignore[method-assign]


def curve(path: Path, processes: int) -> list[float]:
    lines = [line.split() for line in path.with_suffix(".0").read_text().splitlines()]
    assert {int(line[0]) for line in lines} == {processes}
    return [float(line[-1]) for line in lines if line[2] == "root"]


@pytest.mark.parametrize(("sizes", "parts"), [((1, 3), 1), ((1, 2), 6)], ids=["whole", "in parts"])
def test_data_has_the_loss_curve_of_one_process(
    tmp_path: Path, sizes: tuple[int, ...], parts: int
) -> None:
    """50 steps at the same global batch; batch norm sees the batch of all, or each part's."""
    settings = SMALL | {
        "checkpoint_steps": 1000,
        "data.limit": "none",
        "data.pad": 1,
        "supernet.epochs": 2.08,
        # At higher rates a difference in the last bit grows to any size; with 8 images in a part,
        # which batch norm divides by the deviation of, sooner.
        "supernet.lr": 0.02 if parts == 1 else 0.005,
        "split": "none",
        "split.groups": "[]",
        "search.trials": 4,
        "audit.networks": 0,
        "supernet.paths.together": parts,
    }
    curves = []
    for processes in sizes:
        words = words_of(settings, run=f"run{processes}")
        log = tmp_path / f"loss{processes}"
        together(processes, "search", words, tmp_path, prepare=log_the_loss, arguments=(log,))
        assert processes_of(tmp_path / f"run{processes}") == processes
        curves.append(curve(log, processes))
        assert len(curves[-1]) == 50
    for other in curves[1:]:
        assert max(abs(a - b) for a, b in zip(curves[0], other, strict=True)) < 1e-4
    # Scores come from the images of all processes.
    scores = [scores_of(tmp_path / f"run{processes}" / "trials.csv") for processes in sizes]
    for other in scores[1:]:
        assert other == pytest.approx(scores[0], rel=1e-3)


def scores_of(path: Path) -> list[float]:
    with path.open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_processes_take_whole_parts(tmp_path: Path) -> None:
    settings = SMALL | {"supernet.batch_size": 30, "supernet.paths.together": 5}
    done = [one.wait() for one in launch(2, "search", words_of(settings, run="run"), tmp_path)]
    assert [one.code for one in done] == [2, 2]
    assert "supernet.paths.together cannot be divided among 2 processes" in done[0].err


def test_the_setting_is_checked() -> None:
    from fewshot_core.recipe.load import load_recipe

    with pytest.raises(RecipeError, match="processes=region is none of data, regions"):
        load_recipe(["recipe=digits", "processes=region"])


# --- sweeps, and searches on supernets of another run


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def costs_of(run: Path) -> list[int]:
    with (run / "trials.csv").open(newline="") as file:
        return [int(row["connected_flops"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("processes", ["data", "regions"])
def test_a_sweep_and_another_search_on_its_supernets(processes: str, tmp_path: Path) -> None:
    """Two processes agree on who trains, who shares, and what another search takes over."""
    settings = SMALL | {"audit.networks": 0, "search.trials": 4, "strategy": "random"}
    words = words_of(settings, run="sweep", processes=processes)
    together(2, "search", [*words, "strategy=random,tpe"], tmp_path)
    members = read(tmp_path / "sweep" / "sweep.json")["members"]
    names = ["strategy=random", "strategy=tpe"]
    assert [(one["name"], one["state"]) for one in members] == [(n, "done") for n in names]
    assert [one["supernets"] for one in members] == ["", names[0]]
    source, other = (tmp_path / "sweep" / name for name in names)
    assert processes_of(source) == processes_of(other) == 2
    assert weights(source) == weights(other)
    limit = sorted(costs_of(source))[2]
    words = [f"from=sweep/{names[0]}", "run=new", f"constraint.flops={limit}"]
    said = together(2, "search", words, tmp_path)[0].out
    new = tmp_path / "new"
    assert weights(new) == weights(source)
    # What is said is said by the first process, of supernets that are its own.
    there = len(weights(source))
    assert said.count("trained in another run") == (there if processes == "data" else there - 1)
    assert not any(line.startswith("supernet") and "loss" in line for line in said.split("\n"))
    assert read(new / "found.json")["supernets"]["source"] == str(source)
    assert max(costs_of(new)) <= limit
    assert processes_of(new) == 2
