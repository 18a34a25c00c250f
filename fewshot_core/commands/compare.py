"""Compare runs: what they found, how sure that is, and what it cost.

fewshot compare runs/a runs/b "runs/sweep*": folders of runs, of sweeps, or patterns. Runs that
differ only in the seed are a group; the first group is what the others are held against.
"""

from __future__ import annotations

from fewshot_core.commands.command import Command
from fewshot_core.recipe.compare_words import KEYS, Asked, read_comparison


def check(words: list[str]) -> Asked:
    return read_comparison(words)


def action(words: list[str]) -> None:
    asked = check(words)  # what is wrong with them is known before torch is imported
    from fewshot_core.pipeline.compare import compare_runs

    compare_runs(asked)


COMMAND = Command("compare", __doc__ or "", action, keys=KEYS, check=check)
