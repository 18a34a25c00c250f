"""Search an architecture: train the supernets, ask the strategy, keep the best.

Everything goes to the run folder (run=DIR, by default runs/RECIPE). The same command again
continues a run that was stopped, and so does run=DIR alone; with search.trials=500 it goes on with
more trials. from=DIR run=NEW is another search with the supernets of the run DIR, which are not
trained again: from=runs/a run=runs/b constraint.flops=20M.
Values with commas between them (seed=0,1,2 strategy=rea,random) are a sweep: a run for each
combination, all in one folder (by default runs/RECIPE-sweep).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fewshot_core.commands.command import Command

if TYPE_CHECKING:
    from fewshot_core.recipe.sweep import PlannedSweep


def check(words: list[str]) -> PlannedSweep | None:
    from fewshot_core.recipe.cli import load_recipe
    from fewshot_core.recipe.sweep import plan_sweep

    planned = plan_sweep(words)
    if planned is None:
        load_recipe(words)
    return planned


def perform(words: list[str]) -> Path:
    """Do it, for programs that go on with the folder, which it returns."""
    planned = check(words)  # what is wrong with them is known before torch is imported
    if planned is not None:
        from fewshot_core.pipeline.sweep import search_sweep

        search_sweep(planned)
        return planned.sweep.folder
    from fewshot_core.pipeline.search import search

    return search(words).folder.path


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("search", __doc__ or "", action, many=True, check=check)
