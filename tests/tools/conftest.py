from __future__ import annotations

import csv
import os
import random
import shutil
from pathlib import Path

import pytest
import yaml

from .process import succeed, words_of
from .tiny import TINY

# Tests share the machine; more threads would only make two of them slower. Processes inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
for _name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after search and retrain. Not to be changed: take a ``copy``."""
    folder = tmp_path_factory.mktemp("finished")
    succeed("search", words_of(TINY, run="run"), folder)
    succeed("retrain", ["run=run"], folder)
    return folder / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """``tmp_path/run``, a copy of the finished run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def as_before(run: Path) -> None:
    """Give a run the look of one from before the journal: another study and another name."""
    from fewshot_core.search.study import open_study

    journal = open_study(run / "study.log", "search")
    database = open_study(run / "study.db", "search")
    database.add_trials(journal.get_trials())
    (run / "study.log").unlink()
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    strategy = {name: recipe["strategy"][name] for name in ("population", "sample")}
    recipe["strategy"] = {"name": "evolution", **strategy}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 50 cells with made-up accuracies."""
    from tasks.cifar10.space import nasbench201

    rng, space = random.Random(0), nasbench201()
    cells = list(dict.fromkeys(space.genotype(space.sample(rng)) for _ in range(60)))[:50]
    path = tmp_path_factory.mktemp("truth") / "truth.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "accuracy"])
        writer.writerows([cell, round(rng.uniform(10, 95), 3)] for cell in cells)
    return path
