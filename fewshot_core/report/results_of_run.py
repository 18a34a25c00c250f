"""What a finished run came to, as comparisons need it: values, costs, and what they are about."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot_core.errors import RunFolderError
from fewshot_core.metrics import Metric
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.load import recipe_from_file
from fewshot_core.recipe.schema import MeasuringSettings, Recipe
from fewshot_core.report.facts import read_history, read_rows
from fewshot_core.report.words import score_name
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.files import read_json
from fewshot_core.runs.places import require_run
from fewshot_core.runs.reuse import trainer_of
from fewshot_core.tasks import load_task

SEARCHED, CLIMBED, AUDITED, RETRAINED = PARTS = ("supernets", "trainings", "audit", "retraining")
"""Parts of what a run trains: supernets; trainings from scratch that score or choose, as those of a
ladder; the audit; the network that was found."""


class UnfinishedError(RunFolderError):
    """A run has not found anything yet."""


@dataclass(frozen=True)
class Kind:
    """What a value is: equal kinds may be compared.

    Attributes:
        metric: The metric.
        text: What it is called, with what it was measured by, such as the extractor of a FID.
        how: Everything else that it depends on, as text.
    """

    metric: Metric
    text: str
    how: str = ""


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        run: Its folder.
        recipe: Its settings.
        space: The name of its space.
        genotype: What it found.
        score: The validation score of what it found; None: a ladder found it and nothing scored it.
        score_kind: What the score is.
        test: Means over the seeds of retraining, by metric; empty: it was not retrained.
        test_kinds: What they are.
        params: Of the network found; connected ones.
        flops: Of the network found, for one image.
        images: Training images seen, by part.
        seconds: Seconds of training, by part.
        shared: The run that trained its supernets; None: it did so itself.
        retrain_seeds: Number of seeds that the test values are means of.
    """

    run: Path
    recipe: Recipe
    space: str
    genotype: str
    score: float | None
    score_kind: Kind
    test: Mapping[str, float]
    test_kinds: Mapping[str, Kind]
    params: float
    flops: float
    images: Mapping[str, int]
    seconds: Mapping[str, float]
    shared: Path | None = None
    retrain_seeds: int = 0


def read_result(run: Path) -> RunResult:
    """Read the folder of a run.

    Raises:
        UnfinishedError: Its search has not ended.
        RunFolderError: It is no run, or damaged.
    """
    recipe = recipe_from_file(require_run(run))
    if not (run / "found.json").exists():
        raise UnfinishedError(f"{run}: its search has not ended")
    found = read_json(run / "found.json")
    try:
        score, kind = _score(recipe, found)
        tested, kinds, seeds = _tests(run, recipe)
        images: dict[str, int] = dict.fromkeys(PARTS, 0)
        seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        for part, state in trainings_of(run, recipe, str(found["id"])):
            images[part] += state.images
            seconds[part] += state.seconds
        return RunResult(
            run=run,
            recipe=recipe,
            space=str(found["space"]),
            genotype=str(found["genotype"]),
            score=score,
            score_kind=kind,
            test=tested,
            test_kinds=kinds,
            params=float(found["costs"]["connected_params"]),
            flops=float(found["costs"]["connected_flops"]),
            images=images,
            seconds=seconds,
            shared=trainer_of(run),
            retrain_seeds=seeds,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{run} is damaged",
            found=repr(error)[:120],
            fix="run its search again with the same words: it writes its results anew",
        ) from None


def _score(recipe: Recipe, found: Mapping[str, Any]) -> tuple[float | None, Kind]:
    """The score as its metric has it, and what it is."""
    how = repr(sorted(flatten(dataclasses.asdict(recipe.evaluator)).items()))
    settings, measured = recipe.evaluator, found["metrics"]
    if isinstance(settings, MeasuringSettings) and settings.score in measured:
        task = load_task(recipe.task)
        metric = task.description.find_metric(settings.score)
        text = task.name_metric(metric, recipe, "validation")
        return float(measured[settings.score]), Kind(metric, text, how)
    kind = Kind(Metric("score"), score_name(recipe), how)
    return (None if found["score"] is None else float(found["score"])), kind


def _tests(run: Path, recipe: Recipe) -> tuple[dict[str, float], dict[str, Kind], int]:
    """Mean test values of the network found, what they are, and the number of its seeds."""
    path = run / "retrain.json"
    if not path.exists():
        return {}, {}, 0
    kept, task = read_json(path), load_task(recipe.task)
    mine = [one["test"] for one in kept["results"] if one["label"] == "found"]
    if not mine:
        return {}, {}, 0
    first = task.description.find_metric(kept["metric"])
    others = [one for one in task.description.metrics if one.beside and one != first]
    metrics = [metric for metric in (first, *others) if metric.name in mine[0]]
    values = {m.name: statistics.mean(float(one[m.name]) for one in mine) for m in metrics}
    kinds = {m.name: Kind(m, task.name_metric(m, recipe, "test")) for m in metrics}
    return values, kinds, len(mine)


def read_spent(run: Path, recipe: Recipe) -> dict[str, tuple[int, float]]:
    """Training images seen and seconds of training, by part; parts without a training are left out.

    Unlike the cost of a comparison this counts the retrainings of rivals, too. Supernets that
    another run has trained are not counted: they were paid there.
    """
    spent: dict[str, tuple[int, float]] = {}
    for part, state in trainings_of(run, recipe):
        if state.images and not (part == SEARCHED and trainer_of(run)):
            images, seconds = spent.get(part, (0, 0.0))
            spent[part] = images + state.images, seconds + state.seconds
    return spent


def trainings_of(
    run: Path, recipe: Recipe, found: str | None = None
) -> Iterator[tuple[str, StageState]]:
    """Every training of a run, with the part that it belongs to.

    Args:
        run: Its folder.
        recipe: Its settings.
        found: Id of what was found, to leave out every other retraining, and those of it with
            settings that are not the recipe's; None: all of them.
    """
    for region in read_history(run).regions:
        if region.state is not None:
            yield SEARCHED, region.state
    scratch = sorted((run / "standalone").glob("*"))
    audited = _audited(run, recipe) if scratch else set()
    for folder in scratch:
        if (folder / "state.json").exists():
            yield AUDITED if folder.name in audited else CLIMBED, _state(folder)
    for folder in sorted((run / "retrain").glob(f"{found or '*'}-*")):
        # Behind the seed of a training with other settings stands their digest.
        usual = found is None or folder.name.removeprefix(f"{found}-").isdecimal()
        if usual and (folder / "state.json").exists():
            yield RETRAINED, _state(folder)


def _audited(run: Path, recipe: Recipe) -> set[str]:
    """Names of the folders of trainings that an audit asked for, and nothing before it."""
    path = run / "audit.csv"
    if not path.exists():
        return set()
    space = load_task(recipe.task).space(recipe)
    trained = (space.parse(row["architecture"]).id for row in read_rows(path))
    names = {f"{one}-{recipe.audit.epochs:g}" for one in trained}
    ladder = run / "ladder.csv"
    if ladder.exists():  # what it has trained an audit finds done
        names -= {f"{row['id']}-{float(row['epochs']):g}" for row in read_rows(ladder)}
    return names


def _state(folder: Path) -> StageState:
    return StageCheckpoint(folder, writes=False).state()
