"""The trials of a run as rows of a table: as a search writes them, and as they are read again."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from fewshot_core.costs.table import CostTable
from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.regions import read_tree
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.pipeline.scoring import region_of
from fewshot_core.report.facts import read_rows
from fewshot_core.search.study import open_study, trials
from fewshot_core.search.trial import Trial
from fewshot_core.spaces.region import RegionTree

COST_COLUMNS = ("params", "flops", "connected_params", "connected_flops")

STUDY = "study.log"
"""The journal of a search that has its study to itself."""


def trial_row(run: KeptRun, costs: CostTable, tree: RegionTree, trial: Trial) -> dict[str, Any]:
    """A row of ``trials.csv``.

    Args:
        run: The run.
        costs: Its cost table.
        tree: Its regions.
        trial: One of its trials.
    """
    figures = costs.costs(trial.architecture)
    return {
        "number": trial.number,
        "architecture": run.root.space.genotype(trial.architecture),
        "id": trial.architecture.id,
        "region": region_of(run, tree, trial.architecture).id,
        "budget": trial.budget,
        "score": trial.score,
        **{k: trial.metrics.get(k) for k in run.task.description.scores},
        **{k: int(figures[k]) for k in COST_COLUMNS},
    }


def read_trials(run: KeptRun) -> list[dict[str, Any]]:
    """The rows of all trials that have ended, in their order; of a search under way those so far.

    A study in a database that is shared is read once its search has ended.

    Raises:
        RunFolderError: A file is damaged.
        DataError: ``trials.csv`` is damaged.
    """
    path = run.folder.file("trials.csv")
    if not path.exists():
        return _rows_of_journal(run)
    whole = {"number", *COST_COLUMNS}
    numbers = {"budget", "score", *run.task.description.scores}
    try:
        return [
            row
            | {key: int(row[key]) for key in whole}
            | {key: float(row[key]) if row[key] else None for key in numbers}
            for row in read_rows(path)
        ]
    except (KeyError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged", found=repr(error)) from None


def _rows_of_journal(run: KeptRun) -> list[dict[str, Any]]:
    path = run.folder.file(STUDY)
    if not path.exists():
        return []
    # Opening a journal mends it, and this one may be written at this moment.
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, folder))
        done = trials(open_study(copy, "search"), run.root)
    with torch.random.fork_rng(devices=[]):  # networks are built to be counted
        costs = run.task.costs(run.recipe, run.images.facts().shape)
    tree = read_tree(run.folder, run.root)
    return [trial_row(run, costs, tree, trial) for trial in done]
