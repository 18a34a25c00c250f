"""Search an architecture: train the supernets, ask the strategy, keep the best.

Everything goes to the run folder (run=DIR, by default runs/RECIPE). The same command again
continues a run that was stopped.
"""

from __future__ import annotations

from fewshot_core.commands.command import Command


def check(words: list[str]) -> None:
    from fewshot_core.recipe.cli import load_recipe

    load_recipe(words)


def action(words: list[str]) -> None:
    check(words)  # what is wrong with them is known before torch is imported
    from fewshot_core.pipeline.search import search

    search(words)


COMMAND = Command("search", __doc__ or "", action, many=True, check=check)
