"""Write the report of a run anew from what its folder holds, and print its main table."""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {"run": Path | None, "recipe": ""}


def perform(words: list[str]) -> Path:
    """Do it; for programs that use what it returns."""
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS)
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.report import report

    return report(options)


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("report", __doc__ or "", action, keys=KEYS)
