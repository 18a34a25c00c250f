"""Which architecture of a run is meant: the one found, a trial, a point of the front, another."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewshot_core.errors import ArchitectureError, RecipeError, RunFolderError
from fewshot_core.pipeline.run import KeptRun
from fewshot_core.runs.files import read_json
from fewshot_core.runs.retrained import GIVEN, TRIAL
from fewshot_core.spaces.space import Architecture

WORDS = ("architecture", "trial", "front")
"""Words of tools that choose by hand; one of them at a time."""


@dataclass(frozen=True)
class Selected:
    """What was chosen by hand.

    Attributes:
        architecture: The architecture.
        label: What its results are called: ``given``, ``trial 17``.
        trial: The number of the trial; None where a genotype was given.
    """

    architecture: Architecture
    label: str
    trial: int | None = None


def select(run: KeptRun, options: Mapping[str, Any]) -> Selected | None:
    """What the words of a tool choose by hand; None where they leave it to the search.

    Args:
        run: The run.
        options: ``architecture``, a genotype; ``trial``, a number of ``trials.csv``; or ``front``,
            a point of the Pareto front from 1 on, the cheapest first.

    Raises:
        RecipeError: More than one of them is given.
        ArchitectureError: The genotype is none of the space.
        RunFolderError: There is no such trial or point, or the search has not ended.
    """
    given = {word: options[word] for word in WORDS if options.get(word) not in (None, "")}
    if len(given) > 1:
        words = " ".join(f"{key}={value}" for key, value in given.items())
        raise RecipeError(f"{words}: which of them?", fix="give one of these words")
    if "architecture" in given:
        return Selected(run.root.space.parse(given["architecture"]), GIVEN)
    if "trial" in given:
        return select_trial(run, int(given["trial"]))
    if "front" in given:
        return select_point(run, int(given["front"]))
    return None


def select_trial(run: KeptRun, number: int) -> Selected:
    """The architecture of a trial.

    Raises:
        RunFolderError: There is none of this number, or the file that keeps them is damaged.
    """
    path = run.folder.file("trials.csv")
    _require(run, path.exists())
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row.get("number"): row.get("architecture") for row in csv.DictReader(file)}
    genotype = rows.get(str(number))
    if genotype is None:
        raise RunFolderError(
            f"{run.folder.path} has no trial {number}", allowed=f"trial=0 to trial={len(rows) - 1}"
        )
    space = run.root.space
    try:
        return Selected(space.plain(space.parse(genotype)), f"{TRIAL} {number}", number)
    except ArchitectureError as error:
        raise RunFolderError(f"{path} is damaged", found=error, fix=_again(run)) from None


def select_point(run: KeptRun, number: int) -> Selected:
    """The architecture of a point of the Pareto front, by its place from 1 on, the cheapest first.

    It is called by its trial: the front may become another when the search goes on.

    Raises:
        RunFolderError: There is no such point, or the file that keeps them is damaged.
    """
    path = run.folder.file("pareto.json")
    _require(run, path.exists())
    try:
        front = read_json(path, _again(run))["front"]
        points = sorted((float(one["score"]), int(one["trial"])) for one in front)
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged", found=repr(error), fix=_again(run)) from None
    if not 1 <= number <= len(points):
        raise RunFolderError(
            f"the Pareto front of {run.folder.path} has no point {number}",
            allowed=f"front=1, the cheapest, to front={len(points)}, the best",
        )
    # What costs more is on the front because it has a better score.
    return select_trial(run, points[number - 1][1])


def _require(run: KeptRun, searched: bool) -> None:
    if not searched:
        raise RunFolderError(
            f"{run.folder.path} holds no finished search",
            fix=f"run fewshot search run={run.folder.path} to its end",
        )


def _again(run: KeptRun) -> str:
    return f"run fewshot search run={run.folder.path} again: it writes the file anew"


def found_architecture(run: KeptRun) -> Architecture:
    """The architecture that the search of this run found.

    Raises:
        RunFolderError: The search has not ended, or its result is damaged.
    """
    path = run.folder.file("found.json")
    if not path.exists():
        raise RunFolderError(
            f"{run.folder.path} holds no finished search",
            fix=f"run fewshot search recipe={run.recipe.recipe} run={run.folder.path} to its end",
        )
    again = (
        f"run fewshot search recipe={run.recipe.recipe} run={run.folder.path} with its "
        "settings again: it writes the file anew"
    )
    try:
        return run.root.space.from_json(read_json(path, again))
    except ArchitectureError as error:
        raise RunFolderError(f"{path} is damaged", found=error, fix=again) from None
