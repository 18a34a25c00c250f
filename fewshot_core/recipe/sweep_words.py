"""Words of a retraining that are about a sweep: the same for each of its runs. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewshot_core.errors import RecipeError, RunFolderError
from fewshot_core.recipe.changes import Change
from fewshot_core.recipe.tool_words import parse_words
from fewshot_core.recipe.words import plain_path, raise_problems, split_words
from fewshot_core.runs.sweeps import DONE, Member, Sweep, is_sweep, read_sweep


def split_retraining(
    words: Sequence[str], keys: Mapping[str, Any]
) -> tuple[Sweep, list[tuple[Member, dict[str, Any]]]] | None:
    """The sweep that words name, and what they mean for each of its runs that has found something.

    Args:
        words: The words; the last of ``sweep=DIR`` and ``run=DIR`` names the sweep.
        keys: The words that the command takes, as for :func:`parse_words`.

    Returns:
        The sweep, and for each run the values that :func:`parse_words` gives; None where the words
        name a single run.

    Raises:
        RecipeError: A word is wrong.
        RunFolderError: The folder is that of no sweep, or none of its searches has ended.
    """
    pairs, problems = split_words(words)
    given = dict(pairs)
    named = given.get("sweep") or given.get("run")
    if named is None or not ("sweep" in given or is_sweep(Path(named))):
        return None
    raise_problems(problems)
    folder = plain_path("sweep", named)
    for key in ("recipe", "architecture", "trial", *(["run"] if "sweep" in given else [])):
        if key in given:
            raise RecipeError(
                f"{key}={given[key]} does not go with the sweep {folder}",
                fix=f"leave it out, or name one of its runs: run={folder}/NAME",
            )
    sweep = read_sweep(folder)
    ended = [member for member in sweep.members if member.state == DONE]
    if not ended:
        raise RunFolderError(
            f"none of the searches of the sweep {folder} has ended",
            fix=f"fewshot search run={folder}",
        )
    others = [f"{key}={text}" for key, text in pairs if key not in ("run", "sweep")]
    return sweep, [
        (
            member,
            parse_words(
                [f"run={sweep.run_of(member)}", *others],
                keys,
                settings=True,
                also=(Change.RETRAINING,),
            ),
        )
        for member in ended
    ]
