"""How a run's study is called in a database of several."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fewshot_core.pipeline.inputs import inputs_of
from fewshot_core.recipe.load import identity
from fewshot_core.runs.files import read_json, write_text

if TYPE_CHECKING:
    from fewshot_core.pipeline.session import Session


NAME = "study-name.txt"
"""The file of a run folder that keeps it, so that no later version calls it otherwise."""


def keep_study_name(session: Session) -> None:
    """Note the name in the run folder."""
    if session.folder.main and not session.folder.file(NAME).exists():
        write_text(session.folder.file(NAME), session.study_name + "\n")


def study_name(session: Session) -> str:
    """The recipe's name, and a digest of everything that results depend on.

    Launches with the same settings, images and other inputs share a study, wherever these lie.
    """
    recipe, folder = session.recipe, session.folder
    if folder.file(NAME).exists():
        return folder.file(NAME).read_text(encoding="utf-8").strip()
    if folder.file("recipe.yaml").exists() and _is_old(folder.file("environment.json")):
        # A run of an earlier version, which made the name of the recipe's whole text.
        return f"{recipe.recipe}-{_digest(folder.file('recipe.yaml').read_text(encoding='utf-8'))}"
    parts = [f"{key}={value.sha256}" for key, value in sorted(inputs_of(session).items())]
    text = "\n".join([identity(recipe), *parts, session.data.inventory().digest])
    return f"{recipe.recipe}-{_digest(text)}"


def _is_old(environment: Path) -> bool:
    """Whether a run was begun by a version that kept less of what surrounds it."""
    return environment.exists() and "variables" not in read_json(environment)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
