"""What a run reads besides its images: tables, weights, teachers. Known by content, not by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.pretrained import weights_of
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.supernets import all_trained
from fewshot_core.recipe.declare import fields_below, place_of
from fewshot_core.recipe.trainings import SupernetSettings, TrainingSettings
from fewshot_core.runs.files import digest_of_weights, read_json, sha256, write_json
from fewshot_core.runs.pretrained import KEY as WEIGHTS
from fewshot_core.training.teacher import load_teacher

INPUTS = "inputs.json"
"""The file of a run folder that says what it has read."""

TABLE = "evaluator.table"


@dataclass(frozen=True)
class Input:
    """Something that a setting names.

    Attributes:
        what: The value of the setting.
        sha256: The digest of the file's content, or of the weights.
    """

    what: str
    sha256: str


def inputs_of(run: Run) -> dict[str, Input]:
    """What the recipe of a run names, by setting.

    Raises:
        FewshotError: Something is not there or cannot be read.
    """
    recipe = run.recipe
    found: dict[str, Input] = {}
    for key, field, section in fields_below(recipe.evaluator, "evaluator."):
        value = getattr(section, field.name)
        if place_of(field) is not None and value:
            found[key] = Input(str(value), sha256(Path(str(value))))
    for settings in (recipe.supernet, recipe.regions, recipe.retrain):
        if settings.teacher:
            found[f"{settings.section}.teacher"] = _teacher_of(run, settings)
    if recipe.supernet.weights:
        found[WEIGHTS] = _weights_of(run)
    files = run.task.find_inputs(recipe)
    return found | {key: Input(str(path), sha256(path)) for key, path in files.items()}


def _teacher_of(run: Run, settings: TrainingSettings) -> Input:
    key = f"{settings.section}.teacher"
    before = _noted(run, key, settings.section) if isinstance(settings, SupernetSettings) else None
    return before or Input(str(settings.teacher), digest_of_weights(load_teacher(settings)))


def _weights_of(run: Run) -> Input:
    before = _noted(run, WEIGHTS, "supernet")
    if before is not None:
        return before
    path = weights_of(run)
    assert path is not None
    return Input(str(run.recipe.supernet.weights), sha256(path))


def _noted(run: Run, key: str, section: str) -> Input | None:
    """What was noted of something once the supernets are trained with it: it may be gone by then.

    The supernets of another run were trained with what that one has noted.
    """
    if not all_trained(run, section):
        return None
    source = run.folder.source
    before = _read_kept(run.folder.file(INPUTS))
    return (before if source is None else before | _read_kept(source / INPUTS)).get(key)


def check_inputs(run: Run) -> None:
    """Require the inputs that the run began with, but for those that make it another training.

    Raises:
        RunFolderError: The content of one is another.
    """
    kept = _read_kept(run.folder.file(INPUTS))
    for key, now in inputs_of(run).items():
        before = None if key in run.variation else kept.get(key)
        if before is not None and before.sha256 != now.sha256:
            raise RunFolderError(
                f"{key}={now.what} is not what this run began with",
                found=f"SHA-256 {now.sha256[:16]}..., where {before.what} had "
                f"{before.sha256[:16]}...",
                fix=f"restore it, name a copy of it with {key}=, or start another run=DIR",
            )


def keep_inputs(run: Run) -> None:
    """Note the inputs of a run, those that it has not noted before."""
    if run.writes:
        kept = _read_kept(run.folder.file(INPUTS))
        everything = inputs_of(run) | kept
        if everything != kept:
            write_json(run.folder.file(INPUTS), {k: vars(v) for k, v in everything.items()})


def _read_kept(path: Path) -> dict[str, Input]:
    if not path.exists():
        return {}
    fix = "restore it from a copy of the run, or start another run=DIR"
    found = read_json(path, fix)
    try:
        return {key: Input(**value) for key, value in found.items()}
    except (AttributeError, TypeError) as error:
        raise RunFolderError(f"{path} is damaged", found=error, fix=fix) from None
