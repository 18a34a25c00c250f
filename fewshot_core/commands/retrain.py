"""Train what a search found from scratch, beside a random and the largest architecture.

The test images are read after all trainings. The same command again continues.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {"run": Path | None, "recipe": "", "architecture": ""}


def perform(words: list[str]) -> Path:
    """Do it; for programs that use what it returns."""
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS, settings=True)
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.retrain import retrain

    return retrain(options)


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("retrain", __doc__ or "", action, keys=KEYS, many=True)
