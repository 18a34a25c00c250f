"""Train what a search found from scratch, beside a random and the largest architecture.

The test images are read after all trainings. The same command again continues. trial=17,
front=3 (a point of the Pareto front, 1 is the cheapest) or architecture=GENOTYPE train another
architecture, and settings such as retrain.epochs=40 train otherwise: results stand beside those
that there are.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {
    "run": Path | None,
    "recipe": "",
    "architecture": "",
    "trial": int | None,
    "front": int | None,
}


def action(words: list[str]) -> None:
    from fewshot_core.recipe.changes import Change
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS, settings=True, also=(Change.RETRAINING,))
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.retrain import retrain

    retrain(options)


COMMAND = Command("retrain", __doc__ or "", action, keys=KEYS, many=True)
