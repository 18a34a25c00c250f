"""Train what a search found from scratch, beside a random and the largest architecture.

The test images are read after all trainings. The same command again continues. sweep=DIR retrains
every run of a sweep, and so does run=DIR where that is the folder of one.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {"run": Path | None, "recipe": "", "architecture": "", "sweep": Path | None}


def action(words: list[str]) -> None:
    from fewshot_core.recipe.cli import find_named_run, parse_words
    from fewshot_core.recipe.sweep_words import split_retraining

    split = split_retraining(words, KEYS)
    if split is not None:
        from fewshot_core.pipeline.sweep import retrain_sweep

        retrain_sweep(*split)
        return
    options = parse_words(words, KEYS, settings=True)
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.retrain import retrain

    retrain(options)


COMMAND = Command("retrain", __doc__ or "", action, keys=KEYS, many=True)
