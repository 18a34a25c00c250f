"""Train what a search found from scratch, beside a random and the largest architecture.

The test images are read after all trainings. The same command again continues.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewshot_core.commands.command import Command

KEYS = {"run": Path | None, "recipe": "", "architecture": ""}


def check(words: list[str]) -> dict[str, Any]:
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS, settings=True)
    find_named_run(options)  # without a run there is no need to import torch
    return options


def action(words: list[str]) -> None:
    options = check(words)
    from fewshot_core.pipeline.retrain import retrain

    retrain(options)


COMMAND = Command("retrain", __doc__ or "", action, keys=KEYS, many=True, check=check)
