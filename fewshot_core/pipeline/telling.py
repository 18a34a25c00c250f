"""What a run tells its user of the process that computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewshot_core.runs.folder import computing
from fewshot_core.runs.precision import precision_note
from fewshot_core.runs.surroundings import note_changes, surroundings_lines
from fewshot_core.runs.threads import choose_threads
from fewshot_core.runs.variables import told_precision

if TYPE_CHECKING:
    from fewshot_core.pipeline.session import Session


def tell_surroundings(session: Session) -> None:
    """Say what results depend on besides the recipe; keep what has changed since the start."""
    if not session.accelerator.is_main_process:
        return
    recipe, run, used = session.recipe, session.folder.path, session.accelerator.mixed_precision
    now = computing(str(session.accelerator.device)) | {"precision": used}
    notes = [
        choose_threads(recipe.threads),
        precision_note(recipe.precision, used, told_precision()),
    ]
    for line in (*filter(None, notes), *surroundings_lines(run, now)):
        session.console.print(str(line))
    note_changes(run, now)
