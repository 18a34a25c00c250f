from __future__ import annotations

import csv
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.shared import once

from .process import succeed, words_of
from .tiny import TINY

# Tests share the machine; more threads would only make two of them slower. Processes inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
for _name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
    os.environ.pop(_name, None)


def finished_run(folder: Path) -> None:
    """``run`` in the folder: a run after search and retrain, and its pictures."""
    succeed("search", words_of(TINY, run="run"), folder, pictures=True)
    succeed("retrain", ["run=run"], folder, pictures=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after search and retrain. Not to be changed: take a ``copy``."""
    return once(tmp_path_factory, "finished", finished_run) / "run"


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """``tmp_path/run``, a copy of the finished run."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """``tmp_path/run``, a copy of ``run`` in the folder of ``made``, which is a module's own."""
    shutil.copytree(made / "run", tmp_path / "run")
    return tmp_path / "run"


def write_truth(folder: Path) -> None:
    """``truth.csv`` in the folder: 50 cells with made-up accuracies."""
    from fewshot_tasks.cifar10.space import nasbench201

    rng, space = random.Random(0), nasbench201()
    cells = list(dict.fromkeys(space.genotype(space.sample(rng)) for _ in range(60)))[:50]
    with (folder / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "accuracy"])
        writer.writerows([cell, round(rng.uniform(10, 95), 3)] for cell in cells)


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 50 cells with made-up accuracies."""
    return once(tmp_path_factory, "truth", write_truth) / "truth.csv"
