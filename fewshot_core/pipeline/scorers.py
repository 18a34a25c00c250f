"""What measures networks of a run on a part of its images."""

from __future__ import annotations

from fewshot_core.data import ImageData
from fewshot_core.pipeline.run import Run
from fewshot_core.recipe.schema import Recipe
from fewshot_core.training.objective import Scorer


def make_scorer(run: Run, recipe: Recipe, data: ImageData, part: str) -> Scorer:
    """The task's scorer of a part of the images.

    Args:
        run: The run.
        recipe: Its recipe, or one with other settings of the evaluator.
        data: The images, of one size or another.
        part: ``train``, ``validation`` or ``test``.
    """
    return run.task.scorer(recipe, data, part, run.worker, run.folder.file("metric"))


def prepare_scorers(run: Run) -> None:
    """Where processes work apart: the main one makes what scores need, the others find it."""
    if not run.team.apart:
        return
    with run.accelerator.main_process_first():
        data, small = run.images.data(), run.images.search_data()
        make_scorer(run, run.recipe, data, "validation")
        if small is not data:
            make_scorer(run, run.recipe, small, "validation")
