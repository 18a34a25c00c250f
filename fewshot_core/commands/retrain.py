"""Train what a search found from scratch, beside a random and the largest architecture.

The test images are read after all trainings. The same command again continues. trial=17,
front=3 (a point of the Pareto front, 1 is the cheapest) or architecture=GENOTYPE train another
architecture, and settings such as retrain.epochs=40 train otherwise: results stand beside those
that there are. sweep=DIR retrains every run of a sweep, and so
does run=DIR where that is the folder of one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot_core.commands.command import Command

if TYPE_CHECKING:
    from fewshot_core.runs.sweeps import Member, Sweep

KEYS = {
    "run": Path | None,
    "recipe": "",
    "architecture": "",
    "trial": int | None,
    "front": int | None,
    "sweep": Path | None,
}


def check(words: list[str]) -> Callable[[], Path]:
    """What is to be done; without a run there is no need to import torch."""
    from fewshot_core.recipe.changes import Change
    from fewshot_core.recipe.cli import find_named_run, parse_words
    from fewshot_core.recipe.sweep_words import split_retraining

    split = split_retraining(words, KEYS)
    if split is not None:
        return partial(_retrain_sweep, *split)
    options = parse_words(words, KEYS, settings=True, also=(Change.RETRAINING,))
    find_named_run(options)
    return partial(_retrain, options)


def perform(words: list[str]) -> Path:
    """Do it, for programs that go on with the folder, which it returns."""
    return check(words)()


def action(words: list[str]) -> None:
    perform(words)


def _retrain(options: dict[str, Any]) -> Path:
    from fewshot_core.pipeline.retrain import retrain

    return retrain(options)


def _retrain_sweep(sweep: Sweep, options: list[tuple[Member, dict[str, Any]]]) -> Path:
    from fewshot_core.pipeline.sweep import retrain_sweep

    retrain_sweep(sweep, options)
    return sweep.folder


COMMAND = Command("retrain", __doc__ or "", action, keys=KEYS, many=True, check=check)
