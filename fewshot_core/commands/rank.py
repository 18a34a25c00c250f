"""Rank scores against a table of true values, beside parameters, FLOPs and random scores.

With run=DIR the supernets of a run score every architecture of the table first (resumable).
With scores=FILE.csv a file of scores is ranked and no run is needed; recipe=NAME says whose space
it is about. Higher is better, but in columns named as a metric of which the task says that less is
better, such as loss; better=lower and score_better=lower say so of others.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fewshot_core.commands.command import Command

if TYPE_CHECKING:
    from fewshot_core.trust.ranking import RankFigures

KEYS = {
    "run": Path | None,
    "recipe": "",
    "truth": Path,
    "column": str,
    "scores": Path | None,
    "score_column": "score",
    "better": "",
    "score_better": "",
}


def perform(words: list[str]) -> dict[str, RankFigures]:
    """Do it; for programs that use what it returns."""
    from fewshot_core.recipe.cli import find_named_run, parse_words

    options = parse_words(words, KEYS, settings=True)
    if options["scores"] is None:
        find_named_run(options)  # without a run there is no need to import torch
    from fewshot_core.pipeline.rank import rank

    return rank(options)


def action(words: list[str]) -> None:
    perform(words)


COMMAND = Command("rank", __doc__ or "", action, keys=KEYS)
