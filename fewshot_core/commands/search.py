"""Search an architecture: train the supernets, ask the strategy, keep the best.

Everything goes to the run folder (run=DIR, by default runs/RECIPE). The same command again
continues a run that was stopped.
"""

from __future__ import annotations

from pathlib import Path

from fewshot_core.commands.command import Command


def perform(words: list[str]) -> Path:
    """Do it, for programs that go on with the run folder, which it returns."""
    from fewshot_core.recipe.cli import load_recipe

    load_recipe(words)  # what is wrong with them is known before torch is imported
    from fewshot_core.pipeline.search import search

    return search(words).folder.path


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("search", __doc__ or "", action, many=True)
