"""What a run tells its user of the process that computes it."""

from __future__ import annotations

from fewshot_core.pipeline.run import Run
from fewshot_core.runs.folder import computing
from fewshot_core.runs.precision import precision_note
from fewshot_core.runs.surroundings import note_changes, surroundings_lines
from fewshot_core.runs.threads import choose_threads
from fewshot_core.runs.variables import read_told_precision


def tell_surroundings(run: Run) -> None:
    """Say what results depend on besides the recipe; keep what has changed since the start."""
    if not run.writes:
        return
    recipe, path, used = run.recipe, run.folder.path, run.accelerator.mixed_precision
    now = computing(str(run.accelerator.device)) | {"precision": used}
    notes = [
        choose_threads(recipe.threads),
        precision_note(recipe.precision, used, read_told_precision()),
    ]
    for line in (*filter(None, notes), *surroundings_lines(path, now)):
        run.console.print(str(line))
    note_changes(path, now)
