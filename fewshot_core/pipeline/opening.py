"""The ways into a run: begun or continued by a search, attached to by a tool, or only read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from fewshot_core.costs.latency import with_latency
from fewshot_core.data import ImageData
from fewshot_core.errors import RecipeError
from fewshot_core.pipeline.checks import check, check_packages
from fewshot_core.pipeline.derive import require_relaxable
from fewshot_core.pipeline.faults import filling_memory
from fewshot_core.pipeline.images import RunImages, agree_on_images, warnings_of
from fewshot_core.pipeline.inputs import check_inputs, keep_inputs
from fewshot_core.pipeline.latency import LATENCY, measure_latency, read_latency
from fewshot_core.pipeline.processes import (
    Team,
    do_once,
    make_accelerator,
    make_worker,
    settle_process,
)
from fewshot_core.pipeline.regions import REGIONS, choose_splitting, plant_tree
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.study_name import keep_study_name
from fewshot_core.pipeline.supernets import origin_of, regions_to_train
from fewshot_core.pipeline.telling import tell_surroundings
from fewshot_core.recipe.changes import Change, differing, training_changes, value_at
from fewshot_core.recipe.declare import with_values
from fewshot_core.recipe.load import KEPT, LoadedRecipe, recipe_from_file, with_changes
from fewshot_core.recipe.planning import tell_plan
from fewshot_core.recipe.schema import Recipe, scored_images
from fewshot_core.recipe.tracker_names import require_trackers
from fewshot_core.recipe.yamltext import read_mapping
from fewshot_core.runs.console import Console
from fewshot_core.runs.farewell import is_main_process
from fewshot_core.runs.files import write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.launch import settle_launch, works_apart, world_size
from fewshot_core.runs.origin import check_origin
from fewshot_core.runs.places import RUNS, find_named_run, require_run
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.runs.reuse import read_reused, require_trained, take_over
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.split_rule import SPLITTING
from fewshot_core.tasks import load_task


def start(loaded: LoadedRecipe, data: ImageData | None = None) -> Run:
    """Begin the run of a recipe, or continue it; all processes of the launch agree on it.

    Bad input must not leave a run folder behind, so everything is tried before there is one.

    Args:
        loaded: The recipe.
        data: Its images, where they are in memory already.

    Raises:
        FewshotError: Something is wrong with the recipe, the data or the run folder.
    """
    run = prepare(loaded, data)
    folder, accelerator = run.folder, run.accelerator
    precision, device = accelerator.mixed_precision, str(accelerator.device)
    folder.begin(run.recipe, loaded.overrides, precision, device, lambda: _fetch(run))
    try:
        accelerator.wait_for_everyone()
        run.console.print(f"run folder: {folder.path}")
        tell_surroundings(run)
        _keep(run)
        _tell(run)
    except BaseException:
        folder.close()
        raise
    return run


def prepare(loaded: LoadedRecipe, data: ImageData | None = None) -> Run:
    """The run that :func:`start` would begin, after all that can be tried before there is a folder.

    Args:
        loaded: The recipe.
        data: Its images, where they are in memory already.

    Raises:
        FewshotError: Something is wrong with the recipe, the data or the run folder.
    """
    recipe, path = loaded.recipe, loaded.run or RUNS / loaded.recipe.recipe
    # A run that has begun has all that it needs; its source may be gone.
    source = None if (path / KEPT).is_file() else loaded.source
    accelerator = make_accelerator(recipe, source or path)
    folder = RunFolder(path, is_main_process(), works_apart(recipe.processes), source)
    do_once(folder.writes, folder.require_free)
    folder.examine(recipe)
    check_packages()
    require_trackers(recipe.track)
    run = open_run(recipe, folder, accelerator, data)
    with filling_memory(run):
        check(run)
        if run.strategy.differentiable:
            require_relaxable(run)
    agree_on_images(run.images, accelerator, recipe.data.root)
    do_once(run.writes, lambda: _check_contents(run))
    return run


def _check_contents(run: Run) -> None:
    """Require of what was there before this launch that it is of this run."""
    mine = origin_of(run)
    check_origin(run.folder, mine)
    if run.folder.source is not None:
        require_trained(run.folder, regions_to_train(run), mine)
    check_inputs(run)


def _fetch(run: Run) -> None:
    """Bring the supernets that another run has trained."""
    if run.folder.source is not None:
        theirs = read_mapping(run.folder.source / KEPT).get("recipe", "")
        take_over(run.folder, regions_to_train(run), str(theirs))


def _keep(run: Run) -> None:
    """Note in the run folder what the run is about, where it is not noted."""
    folder = run.folder
    if not run.writes:
        return
    write_json(folder.file("costs.json"), run.costs.to_json())
    if run.latency is not None:
        write_json(folder.file(LATENCY), run.latency)
    write_json(folder.file(SPLITTING), run.splitting.to_json())
    write_json(folder.file(REGIONS), run.tree.to_json())
    if run.recipe.search.storage:
        keep_study_name(run)
    run.images.keep()
    keep_inputs(run)


def _tell(run: Run) -> None:
    """Say what is searched on, and whether the supernet is split."""
    data = run.images.data()
    known = {key: value for key, value in data.describe().items() if value is not None}
    run.console.print(", ".join(f"{key} {value}" for key, value in known.items()))
    scored = None
    if run.evaluator.measures and not run.task.generates:
        count = len(data.validation)
        scored = min(count, scored_images(run.recipe.evaluator) or count)
    for line in warnings_of(data, scored):
        run.console.print(line)
    planned = tell_plan(run.recipe)
    if planned:
        run.console.print(planned)
    if run.splitting.sentence and run.evaluator.inherits:
        run.console.print(run.splitting.sentence)
    reused = read_reused(run.folder.path)
    if reused is not None:
        run.console.print(reused.sentence)


def attach(options: Mapping[str, Any], *, many: bool = False, also: Collection[Change] = ()) -> Run:
    """Open the run that ``run=DIR`` names, or ``runs/NAME`` for ``recipe=NAME``, to go on with it.

    Args:
        options: The words of the tool.
        many: Whether the tool can share its work among processes.
        also: Changes to the run's recipe that the tool takes beside those that change no result.

    Raises:
        RunFolderError: There is no run at this place, or it is in use.
        RecipeError: More processes than the tool can use.
        LaunchError: The environment describes processes that no launcher has started.
    """
    with _lock(options, many, also) as (folder, recipe, changes):
        accelerator = make_accelerator(recipe, folder.path)
        run = open_run(recipe, folder, accelerator, changes=changes)
        own = recipe_from_file(folder.file(KEPT))
        run = replace(run, variation=training_changes(own, recipe))
        tell_surroundings(run)
        return run


def keep_changes(run: Run) -> None:
    """Let the run folder have the settings of this launch, now that they are known to do.

    Those that make it another training are noted with its results, and are none of the run's.
    """
    if run.changes:
        own = recipe_from_file(run.folder.file(KEPT))
        before = {key: value_at(own, key) for key in differing(own, run.recipe)}
        run.folder.apply(with_values(run.recipe, before), run.changes)


def attach_to_read(options: Mapping[str, Any]) -> KeptRun:
    """Open the run that the words name for a tool that computes nothing.

    Raises:
        RunFolderError: There is no run at this place, or it is in use.
        RecipeError: There is more than one process.
        LaunchError: The environment describes processes that no launcher has started.
    """
    with _lock(options, many=False, also=()) as (folder, recipe, _):
        settle_process(recipe)
        return _kept(folder, recipe)


def look_at(path: Path) -> KeptRun:
    """The run in a folder, to read what it holds: nothing is locked, written or said.

    A process may be at work in the folder.

    Raises:
        RunFolderError: There is no run at this place.
        RecipeError: Its recipe is damaged.
    """
    return _kept(RunFolder(path, writes=False), recipe_from_file(require_run(path)))


def _kept(folder: RunFolder, recipe: Recipe) -> KeptRun:
    task = load_task(recipe.task)
    console = Console(folder.writes)
    images = RunImages(recipe, folder, console, task.normalisation)
    return KeptRun(recipe, folder, console, task, Region.root(task.space(recipe)), images)


@contextmanager
def _lock(
    options: Mapping[str, Any], many: bool, also: Collection[Change]
) -> Iterator[tuple[RunFolder, Recipe, tuple[str, ...]]]:
    """The folder of a run, its recipe, and the words that change it; free again after an error."""
    settle_launch()
    if not many and world_size() > 1:
        raise RecipeError(
            "this tool uses one process",
            found=f"{world_size()} processes",
            fix="start it with python instead of accelerate launch",
        )
    folder, recipe = RunFolder.attach(find_named_run(options), is_main_process())
    try:
        words = tuple(options.get("settings") or ())
        yield folder, with_changes(recipe, words, also) if words else recipe, words
    except BaseException:
        folder.close()
        raise


def open_run(
    recipe: Recipe,
    folder: RunFolder,
    accelerator: Accelerator,
    data: ImageData | None = None,
    changes: tuple[str, ...] = (),
) -> Run:
    """The run: what is known of it, measured here where the folder does not have it.

    Images are read and latencies measured by all processes alike, so all have to call it.

    Args:
        recipe: The recipe.
        folder: The run folder; it may not exist yet.
        accelerator: The accelerator of the launch.
        data: The images, where they are in memory already.
        changes: Words of this launch that change a setting.

    Raises:
        FewshotError: The space, the split or the images cannot be what the recipe says.
    """
    console = Console(folder.writes)
    team = Team(accelerator, works_apart(recipe.processes))
    task = load_task(recipe.task)
    root = Region.root(task.space(recipe))
    normalisation = task.normalisation
    first = accelerator.main_process_first
    images = RunImages(recipe, folder, console, normalisation, first, data)
    splitting = choose_splitting(recipe, folder, root, images)
    tree = plant_tree(recipe, folder, root, splitting)
    shape = images.facts().shape
    costs, latency = task.costs(recipe, shape), None
    if recipe.constraint.latency is not None:
        latency = read_latency(folder)
        if latency is None:
            latency = measure_latency(
                recipe, task, root, shape, accelerator, console, folder.writes
            )
        costs = with_latency(costs, latency)
    return Run(
        recipe=recipe,
        folder=folder,
        console=console,
        task=task,
        root=root,
        images=images,
        accelerator=accelerator,
        worker=make_worker(accelerator, team),
        team=team,
        stop=StopRequest(folder.saves),
        splitting=splitting,
        tree=tree,
        costs=costs,
        latency=latency,
        changes=changes,
    )
