"""A small run folder, written by the real writers; nothing is trained and no image is read."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fewshot_core.costs.table import CostTable
from fewshot_core.pipeline import images as images_module
from fewshot_core.pipeline.audit import figures
from fewshot_core.pipeline.rank import write_ranking
from fewshot_core.pipeline.search import record
from fewshot_core.pipeline.session import Session, price_in
from fewshot_core.plugins import plugin, plugin_of
from fewshot_core.recipe.schema import default_split, recipe_type
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.search.trial import Trial, best_trial
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import SearchSpace
from fewshot_core.trust.ranking import rank_figures
from fewshot_core.trust.scores import ScoreLog, write_table
from tasks.cifar10.settings import CellSettings
from tasks.cifar10.space import nasbench201

TRIALS = 24
DATA = {
    "source": "digits", "train": 1151, "validation": 287, "test": 359,
    "channels": 1, "image_size": 8, "classes": 10,
}  # fmt: skip
STAGES = ("supernets", "search", "audit", "retrain", "ranking")

MakeRun = Callable[..., Session]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Write a run with the given stages and return its session."""

    def no_images(*args: object) -> None:
        raise AssertionError("a report reads no images")

    monkeypatch.setattr(images_module, "load_images", no_images)

    def make(stages: Collection[str] = STAGES, name: str = "run", **settings: Any) -> Session:
        strategy = settings.get("strategy") or plugin("strategy", "rea").default()
        sections = {"network": CellSettings, **plugin_of("strategy", strategy).sections}
        recipe = recipe_type(sections)(
            recipe="demo",
            description="a <b>demo</b>",
            network=CellSettings(),
            split=replace(default_split("decision"), decision="edge_1_0", when="always"),
            **settings,
        )
        folder = RunFolder.start(tmp_path / name, recipe, ["seed=0"], "no")
        session = Session(recipe, folder, None, Console(main=False))  # type: ignore[arg-type]
        session.__dict__["costs"] = _costs(session.root.space)
        write_json(folder.file("regions.json"), session.tree.to_json())
        write_json(folder.file("data.json"), DATA)
        for stage in stages:
            _WRITERS[stage](session)
        folder.close()
        return session

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


def _supernets(session: Session) -> None:
    def train(region: Region, parent: Region | None) -> None:
        history = [[float(step), 2.0 / (1 + step)] for step in range(40)]
        notes: dict[str, Any] = {"region": region.id}
        if parent is not None:
            notes["inherited"] = {"copied": 7, "sliced": [], "fresh": ["head"]}
        state = StageState(40, 40, images=640, seconds=1.5, history=history, notes=notes)
        session.folder.checkpoint(region).finish(state, {"weight": torch.zeros(1)})

    for region, parent in session.tree.walk():
        train(region, parent)


def _trials(session: Session) -> list[Trial]:
    rng = random.Random(0)
    chosen = [session.root.sample(rng) for _ in range(TRIALS)]
    return [
        Trial(i, a, 80.0 + i % 7, {"accuracy": 80.0 + i % 7, "loss": 0.5})
        for i, a in enumerate(chosen)
    ]


def _search(session: Session) -> None:
    record(session, _trials(session))


def _audit(session: Session) -> None:
    best = best_trial(_trials(session), cost=price_in(session))
    flops = int(session.costs.costs(best.architecture)["connected_flops"])
    rows = [
        {
            "architecture": session.root.space.genotype(trial.architecture),
            "trial": trial.number,
            "score": trial.score,
            "accuracy": 90.0 + i,
            "connected_params": 1000 + 7 * (i % 3),
            "connected_flops": flops,
        }
        for i, trial in enumerate(_trials(session)[:9])
    ]
    shown = figures(rows, "accuracy", flops)
    write_table(session.folder.file("audit.csv"), rows, list(rows[0]))
    write_json(
        session.folder.file("audit.json"),
        {"epochs": 5.0, "metric": "accuracy", "candidates": 30, "asked": 9, "diverged": 0, **shown},
    )


def _retrain(session: Session) -> None:
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
        session.folder.file("retrain.json"),
        {"data": DATA, "metric": "accuracy", "results": results},
    )


def _ranking(session: Session) -> None:
    space = session.root.space
    genotypes = list({space.genotype(trial.architecture) for trial in _trials(session)})
    truth = [float(i) for i in range(len(genotypes))]
    table = session.folder.path.parent / "truth.csv"
    rows = [{"architecture": g, "cifar10": t} for g, t in zip(genotypes, truth, strict=True)]
    write_table(table, rows, ["architecture", "cifar10"])
    path = session.folder.file("scores", "one-shot.csv")
    path.parent.mkdir()
    with ScoreLog(path, ("architecture", "accuracy", "loss")) as log:
        log.append({"architecture": g, "accuracy": 1.0, "loss": 1.0} for g in genotypes)
    figures = rank_figures(
        truth, truth, costs=[1.0] * len(truth), connected=[True] * len(truth), canonical=genotypes
    )
    write_ranking(session.folder, {"one-shot": figures}, {"truth": table, "column": "cifar10"})


_WRITERS: dict[str, Callable[[Session], None]] = {
    "supernets": _supernets,
    "search": _search,
    "audit": _audit,
    "retrain": _retrain,
    "ranking": _ranking,
}
