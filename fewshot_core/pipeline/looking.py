"""A look at a user's images before a run begins, and the settings that are chosen from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelerate.utils import broadcast_object_list

from fewshot_core.data.sources import list_parts
from fewshot_core.data.survey import Survey, images_to_read, take_survey
from fewshot_core.errors import DataError
from fewshot_core.pipeline.processes import do_once, make_accelerator
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.survey_words import bad_lines, choice_table, concerns, found_table
from fewshot_core.recipe.fitting import Facts, FittedSetting, Fitting
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.load import KEPT, LoadedRecipe, load_recipe
from fewshot_core.recipe.readers import unread_keys
from fewshot_core.runs.console import Console
from fewshot_core.runs.farewell import is_main_process
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.runs.places import RUNS
from fewshot_core.tasks import load_task

SURVEY = "survey.json"
"""The file of a run folder that keeps what a look at its images has found, and what was chosen."""


@dataclass(frozen=True)
class Fitted:
    """A recipe with all that was chosen for its images.

    Attributes:
        loaded: The recipe.
        kept: What the run folder is to keep of it; None: nothing new.
    """

    loaded: LoadedRecipe
    kept: dict[str, Any] | None


def fit_to_images(words: Sequence[str]) -> Fitted:
    """Load the recipe of the words; where it asks for it, look at its images and fit it to them.

    A run that goes on is not looked at again: what was chosen when it began counts. All processes
    of a launch call it; the main one looks and speaks.

    Raises:
        FewshotError: The words or the images are not as they have to be.
    """
    loaded = load_recipe(words)
    if not loaded.recipe.data.look or loaded.of_run:
        return Fitted(loaded, None)
    path = loaded.run or RUNS / loaded.recipe.recipe
    if (path / KEPT).is_file() and (path / SURVEY).is_file():
        chosen = read_json(path / SURVEY, "start another run=DIR")["chosen"]
        return Fitted(load_recipe(words, chosen=chosen), None)
    make_accelerator(loaded.recipe, path)  # the processes meet
    console = Console(is_main_process())
    found: list[Survey | None] = [None]

    def look() -> None:
        found[0] = _look(loaded, console)

    do_once(is_main_process(), look)
    facts: Facts = broadcast_object_list([found[0] and found[0].facts()])[0]
    choices = choose(loaded, facts)
    chosen = {choice.key: choice.value for choice in choices}
    fitted = load_recipe(words, chosen=chosen)
    if found[0] is None:
        return Fitted(fitted, None)
    # Of no interest is what nothing reads, such as the length of a supernet that is not trained.
    unread = unread_keys(fitted.recipe, load_task(fitted.recipe.task))
    choices = [choice for choice in choices if choice.key not in unread]
    chosen = {choice.key: choice.value for choice in choices}
    _tell(found[0], fitted, choices, console)
    reasons = {choice.key: choice.reason for choice in choices}
    return Fitted(fitted, {"found": found[0].to_json(), "chosen": chosen, "reasons": reasons})


def choose(loaded: LoadedRecipe, facts: Facts) -> list[FittedSetting]:
    """What the task of a recipe chooses for images of which these facts are known."""
    settings = flatten(dataclasses.asdict(loaded.recipe))
    given = {key: settings[key] for key in loaded.given if key in settings}
    fitting = Fitting(facts, given)
    load_task(loaded.recipe.task).fit(fitting)
    if fitting.choices:
        fitting.choose("estimate", True, "says what all this will cost before it begins")
    return fitting.choices


def keep_survey(run: Run, fitted: Fitted) -> None:
    """Let the run folder have what was found and chosen."""
    if fitted.kept is not None and run.writes:
        write_json(run.folder.file(SURVEY), fitted.kept)


def _look(loaded: LoadedRecipe, console: Console) -> Survey:
    """Look at the images, and say what was found.

    Raises:
        DataError: There are images that cannot be used, all of which were listed.
    """
    parts = list_parts(loaded.recipe.data)
    with console.progress("looking at the images", images_to_read(parts)) as tick:
        survey = take_survey(parts, lambda done, total: tick(done))
    console.print(f"images in {loaded.recipe.data.root or loaded.recipe.data.source}:")
    console.print(found_table(survey))
    if survey.bad:
        some = "1 image cannot" if len(survey.bad) == 1 else f"{len(survey.bad):,} images cannot"
        console.print(f"{some} be used:")
        for line in bad_lines(survey):
            console.print(line)
        raise DataError(
            f"{some} be used",
            found="the list above",
            fix="replace or remove the files, and give the same command again",
        )
    survey.facts()
    return survey


def _tell(
    survey: Survey, fitted: LoadedRecipe, choices: Sequence[FittedSetting], console: Console
) -> None:
    for line in concerns(survey, fitted.recipe.data.image_size or survey.facts().side):
        console.print(f"note: {line}")
    if not choices:
        return
    console.print("chosen for these images; give any of these words yourself to change it:")
    console.print(choice_table(choices))
