"""What can be known before the first step, for every stage that a run will reach.

A search trains for hours before it scores, audits, retrains and exports. What would stop it there
is looked for here, before anything is written: the parts of each stage are made once, tried on a
few images where that is cheap, and thrown away.
"""

from __future__ import annotations

import importlib.util
import random
from dataclasses import replace

import torch
from torch import nn

from fewshot_core.costs.table import require_feasible
from fewshot_core.data.images import class_balanced_split
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.errors import FewshotError
from fewshot_core.evaluators.base import RequiringEvaluator
from fewshot_core.pipeline.asking import new_strategy
from fewshot_core.pipeline.batches import check_batches
from fewshot_core.pipeline.pretrained import check_weights
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scoring import RunContext, make_evaluator
from fewshot_core.pipeline.starting import require_start
from fewshot_core.pipeline.stock import require_stock, rival_stocks
from fewshot_core.pipeline.study_name import study_name
from fewshot_core.pipeline.supernets import all_trained, new_supernet
from fewshot_core.pipeline.training import build_network, make_stream, with_pace
from fewshot_core.recipe.trainings import TrainingSettings
from fewshot_core.search.strategies import Strategy
from fewshot_core.search.study import open_study
from fewshot_core.spaces.paths import make_paths
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters import LearnedLevel
from fewshot_core.training.teacher import Teacher

EXPORTING = ("onnx", "onnxruntime", "onnxscript")
"""Packages that an export needs, and nothing before it."""

TRIED = 2
"""Images that networks are tried on."""


class MissingPackageError(FewshotError):
    """A package that a later stage needs cannot be found."""


def check(run: Run) -> None:
    """Find what is wrong with a run before anything is written or trained.

    Raises:
        FewshotError: The space, the regions, the paths, the data, the constraint, the evaluator,
            an optimiser, a teacher, the strategy, the storage, or what a later stage needs cannot
            be what the recipe says.
    """
    recipe = run.recipe
    any_architecture = run.root.sample(random.Random(0))
    for region, parent in run.tree.walk():
        paths = (recipe.regions if parent else recipe.supernet).paths
        make_paths(paths, region, run.front_cost).check()
    if isinstance(recipe.split, LearnedLevel):
        recipe.split.require(run.root)
    require_feasible(run.root, run.costs, run.limits)
    check_batches(run, any_architecture)
    _check_evaluator(run, any_architecture)
    if run.evaluator.inherits:
        supernet = new_supernet(run, run.root)
        check_weights(run, supernet)
        for settings in (recipe.supernet, recipe.regions)[: 1 + run.splitting.split]:
            if all_trained(run, settings.section):  # its teacher may be gone
                settings = replace(settings, teacher=None)
            _try(run, supernet, settings, any_architecture)
    check_retraining(run, any_architecture)
    directions = Strategy.directions
    if not run.strategy.differentiable:
        directions = new_strategy(run, budgets=False).directions
    if recipe.search.storage and run.writes:
        open_study(recipe.search.storage, study_name(run), directions)


def check_retraining(
    run: Run, architecture: Architecture, found: Architecture | None = None
) -> None:
    """Find what would stop the trainings from scratch, their test, or the export.

    Args:
        run: The run.
        architecture: One to try it with.
        found: What the search found, if it is known; see :func:`rival_stocks`.

    Raises:
        FewshotError: An optimiser, augmentation, the teacher, the metric or the test images.
    """
    recipe, task = run.recipe, run.task
    for stock in rival_stocks(run, found).values():
        require_stock(run, stock)
    network = build_network(run, architecture, 0)
    require_start(run, network)
    # Retraining may be started with as many processes as can share its batches.
    if recipe.retrain.batch_size % run.worker.num_processes == 0:
        _try(run, network, recipe.retrain, None)
    data = run.images.data()
    task.export_model(architecture, recipe, data.shape)
    task.check_measurable(recipe, data, run.worker)
    data.check_test()
    run.worker.free_memory()


def check_packages() -> None:
    """Find packages that a later stage needs, and nothing before it.

    Raises:
        MissingPackageError: One cannot be found.
    """
    missing = [name for name in EXPORTING if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            "an export, the last stage of this run, would fail",
            found=f"no package {', '.join(missing)}",
            fix=f"pip install {' '.join(missing)}",
        )


def _check_evaluator(run: Run, architecture: Architecture) -> None:
    if not (run.evaluator.inherits or run.evaluator.trains):  # else there is nothing to ask yet
        evaluator = make_evaluator(run)
        if run.evaluator.untrained:  # not every network can be scored so
            evaluator.evaluate(architecture)
        if isinstance(evaluator, RequiringEvaluator):
            evaluator.require(run.root, run.accepts())
    if run.evaluator.beforehand is not None:
        asked_before = run.evaluator.beforehand(run.recipe.evaluator, RunContext(run, run.tree))
        if asked_before is not None:
            asked_before.evaluate(architecture)
    if run.strategy.differentiable:
        share = run.recipe.preferences.share
        train = run.images.search_data().train
        class_balanced_split(train.labels, share, 0, train.classes)


def _try(
    run: Run,
    model: nn.Module,
    settings: TrainingSettings,
    architecture: Architecture | None,
) -> None:
    """Make the parts of a training, and pass a few images through the model and its teacher."""
    data = run.images.data() if architecture is None else run.images.search_data()
    stream = make_stream(run, data.train, settings, 0)
    if isinstance(stream, PrefetchedStream):
        stream = stream.stream  # without starting its workers
    pupil = replace(settings, teacher=None)  # the teacher is looked at below
    with_pace(run, run.task.objective(model, pupil, 1, run.worker), settings)
    images, targets = stream.example()
    device = run.worker.device
    model.to(device).train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        # Twice the images of a process that has a single one, for batch norm.
        few = [torch.cat([part, part])[:TRIED].to(device) for part in (images, targets)]
        run.task.loss(model, (few[0], few[1]), architecture, run.worker)
    if settings.teacher:
        Teacher(settings, run.worker).require(few[0], data.shape.classes)
