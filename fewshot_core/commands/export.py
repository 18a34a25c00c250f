"""Export a retrained network: a folder for plain timm, ONNX, and a card with its numbers.

label= picks the network (found, random, largest, given), out= the folder (RUN/export).
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command

KEYS = {"run": Path | None, "recipe": "", "label": "", "out": Path | None}


def perform(words: list[str]) -> Path:
    """Do it; for programs that use what it returns."""
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS)
    find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.export import export

    return export(options)


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("export", __doc__ or "", action, keys=KEYS)
