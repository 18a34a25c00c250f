"""A small run folder, written by the real writers; nothing is trained and no image is read."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fewshot_core.costs.table import CostTable
from fewshot_core.metrics import ACCURACY
from fewshot_core.pipeline import images as images_module
from fewshot_core.pipeline.audit import figures
from fewshot_core.pipeline.choice import Choice
from fewshot_core.pipeline.images import RunImages
from fewshot_core.pipeline.processes import Team
from fewshot_core.pipeline.rank import write_ranking
from fewshot_core.pipeline.regions import plant_tree
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.search import hand_over, record
from fewshot_core.plugins import plugin, plugin_of
from fewshot_core.recipe.schema import default_split, recipe_type
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.search.trial import Trial, best_trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import SearchSpace
from fewshot_core.spaces.split_rule import SplitDecision
from fewshot_core.trust.ranking import rank_figures
from fewshot_core.trust.scores import ScoreLog, write_table
from fewshot_tasks.cifar10.settings import CellSettings
from fewshot_tasks.cifar10.space import nasbench201
from fewshot_tasks.cifar10.task import TASK

TRIALS = 24
DATA = {
    "source": "digits", "train": 1151, "validation": 287, "test": 359,
    "channels": 1, "image_size": 8, "classes": 10,
}  # fmt: skip
STAGES = ("supernets", "search", "audit", "retrain", "ranking")

MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Write a run with the given stages and open it."""

    def no_images(*args: object) -> None:
        raise AssertionError("a report reads no images")

    monkeypatch.setattr(images_module, "load_images", no_images)

    def make(stages: Collection[str] = STAGES, name: str = "run", **settings: Any) -> Run:
        strategy = settings.get("strategy") or plugin("strategy", "rea").default()
        sections = {"network": CellSettings, **plugin_of("strategy", strategy).sections}
        recipe = recipe_type(sections)(
            recipe="demo",
            description="a <b>demo</b>",
            network=CellSettings(),
            split=replace(default_split("decision"), decision="edge_1_0", when="always"),
            **settings,
        )
        folder, console = RunFolder(tmp_path / name), Console(writes=False)
        folder.begin(recipe, ["seed=0"], "no")
        root = Region.root(TASK.space(recipe))
        splitting = SplitDecision(True, recipe.supernet.epochs)
        one: Any = SimpleNamespace(num_processes=1)
        run = Run(
            recipe=recipe,
            folder=folder,
            console=console,
            task=TASK,
            root=root,
            images=RunImages(recipe, folder, console),
            accelerator=one,
            worker=one,
            team=Team(one, apart=False),
            stop=StopRequest(),
            splitting=splitting,
            tree=plant_tree(recipe, folder, root, splitting),
            costs=_costs(root.space),
        )
        write_json(folder.file("regions.json"), run.tree.to_json())
        write_json(folder.file("data.json"), DATA)
        for stage in stages:
            _WRITERS[stage](run)
        folder.close()
        return run

    return make


def _costs(space: SearchSpace) -> CostTable:
    names = ("params", "flops", "fvcore_flops")
    sizes = {"nor_conv_1x1": 100.0, "nor_conv_3x3": 900.0}
    return CostTable(
        space,
        dict.fromkeys(names, 1000.0),
        {
            d.name: {o: dict.fromkeys(names, sizes.get(str(o), 0.0)) for o in d.options}
            for d in space.decisions
        },
    )


def _supernets(run: Run) -> None:
    def train(region: Region, parent: Region | None) -> None:
        history = [[float(step), 2.0 / (1 + step)] for step in range(40)]
        notes: dict[str, Any] = {"region": region.id}
        if parent is not None:
            notes["inherited"] = {"copied": 7, "sliced": [], "fresh": ["head"]}
        state = StageState(40, 40, images=640, seconds=1.5, history=history, notes=notes)
        run.folder.checkpoint(region).finish(state, {"weight": torch.zeros(1)})

    for region, parent in run.tree.walk():
        train(region, parent)


def trials_of(run: Run) -> list[Trial]:
    rng = random.Random(0)
    chosen = [run.root.sample(rng) for _ in range(TRIALS)]
    return [
        Trial(i, a, 80.0 + i % 7, {"accuracy": 80.0 + i % 7, "loss": 0.5})
        for i, a in enumerate(chosen)
    ]


def _search(run: Run) -> None:
    record(run, trials_of(run))
    done = trials_of(run)
    best = best_trial(done, cost=run.price)
    hand_over(run, done, None, Choice(best, best, None, 0.0))


def _audit(run: Run) -> None:
    best = best_trial(trials_of(run), cost=run.price)
    flops = int(run.costs.costs(best.architecture)["connected_flops"])
    rows = [
        {
            "architecture": run.root.space.genotype(trial.architecture),
            "trial": trial.number,
            "score": trial.score,
            "accuracy": 90.0 + i,
            "connected_params": 1000 + 7 * (i % 3),
            "connected_flops": flops,
        }
        for i, trial in enumerate(trials_of(run)[:9])
    ]
    shown = figures(rows, ACCURACY, flops)
    write_table(run.folder.file("audit.csv"), rows, list(rows[0]))
    write_json(
        run.folder.file("audit.json"),
        {
            "epochs": 5.0,
            "metric": "accuracy",
            "better": "higher",
            "candidates": 30,
            "asked": 9,
            "diverged": 0,
            **shown,
        },
    )


def _retrain(run: Run) -> None:
    space = nasbench201()
    rng = random.Random(1)
    results = []
    for label, base in (("found", 95.0), ("random", 90.0), ("largest", 95.1)):
        architecture = space.sample(rng)
        for seed in range(3):
            results.append(
                {
                    "label": label, "seed": seed, "id": architecture.id,
                    "genotype": space.genotype(architecture),
                    "test": {"accuracy": base + 0.3 * seed, "loss": 0.1},
                    "params": 1900, "flops": 1900, "fvcore_flops": 2000,
                    "training_seconds": 1.0, "images_seen": 1000,
                }
            )  # fmt: skip
    write_json(
        run.folder.file("retrain.json"),
        {"data": DATA, "metric": "accuracy", "results": results},
    )


def _ranking(run: Run) -> None:
    space = run.root.space
    genotypes = list({space.genotype(trial.architecture) for trial in trials_of(run)})
    truth = [float(i) for i in range(len(genotypes))]
    table = run.folder.path.parent / "truth.csv"
    rows = [{"architecture": g, "cifar10": t} for g, t in zip(genotypes, truth, strict=True)]
    write_table(table, rows, ["architecture", "cifar10"])
    path = run.folder.file("scores", "one-shot.csv")
    path.parent.mkdir()
    with ScoreLog(path, ("architecture", "accuracy", "loss")) as log:
        log.append({"architecture": g, "accuracy": 1.0, "loss": 1.0} for g in genotypes)
    figures = rank_figures(
        truth, truth, costs=[1.0] * len(truth), connected=[True] * len(truth), canonical=genotypes
    )
    options = {"truth": table, "column": "cifar10"}
    write_ranking(run.folder, {"one-shot": figures}, "equal parameters", options)


_WRITERS: dict[str, Callable[[Run], None]] = {
    "supernets": _supernets,
    "search": _search,
    "audit": _audit,
    "retrain": _retrain,
    "ranking": _ranking,
}
