"""How a run's study is called in a database of several."""

from __future__ import annotations

import hashlib

from fewshot_core.pipeline.inputs import inputs_of
from fewshot_core.pipeline.run import Run
from fewshot_core.recipe.load import identity
from fewshot_core.runs.files import write_text

NAME = "study-name.txt"
"""The file of a run folder that keeps it, so that no later version calls it otherwise."""


def keep_study_name(run: Run) -> None:
    """Note the name in the run folder."""
    if run.writes and not run.folder.file(NAME).exists():
        write_text(run.folder.file(NAME), study_name(run) + "\n")


def study_name(run: Run) -> str:
    """The recipe's name, and a digest of everything that results depend on.

    Launches with the same settings, images and other inputs share a study, wherever these lie.
    """
    recipe, folder = run.recipe, run.folder
    if folder.file(NAME).exists():
        return folder.file(NAME).read_text(encoding="utf-8").strip()
    parts = [f"{key}={value.sha256}" for key, value in sorted(inputs_of(run).items())]
    text = "\n".join([identity(recipe), *parts, run.images.data().inventory().digest])
    return f"{recipe.recipe}-{hashlib.blake2b(text.encode(), digest_size=5).hexdigest()}"
