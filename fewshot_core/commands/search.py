"""Search an architecture: train the supernets, ask the strategy, keep the best.

Everything goes to the run folder (run=DIR, by default runs/RECIPE). The same command again
continues a run that was stopped, and so does run=DIR alone; with search.trials=500 it goes on with
more trials. from=DIR run=NEW is another search with the supernets of the run DIR, which are not
trained again: from=runs/a run=runs/b constraint.flops=20M.
"""

from __future__ import annotations

from fewshot_core.commands.command import Command


def action(words: list[str]) -> None:
    from fewshot_core.recipe.cli import load_recipe

    load_recipe(words)  # what is wrong with them is known before torch is imported
    from fewshot_core.pipeline.search import search

    search(words)


COMMAND = Command("search", __doc__ or "", action, many=True)
