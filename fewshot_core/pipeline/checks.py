"""What can be known before the first step, for every stage that a run will reach.

A search trains for hours before it scores, audits, retrains and exports. What would stop it there
is looked for here, before anything is written: the parts of each stage are made once, tried on a
few images where that is cheap, and thrown away.
"""

from __future__ import annotations

import importlib.util
import random
from typing import TYPE_CHECKING

import torch

from fewshot_core.costs.table import require_feasible
from fewshot_core.data.images import class_balanced_split
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.errors import FewshotError
from fewshot_core.evaluators import TabularEvaluator
from fewshot_core.pipeline.batches import check_batches
from fewshot_core.recipe.check import DIFFERENTIABLE, INHERITING, PROXIES
from fewshot_core.recipe.schema import TrainingSettings
from fewshot_core.search.strategies import Strategy
from fewshot_core.search.study import open_study
from fewshot_core.spaces.paths import CostPaths, PathBatches, make_paths
from fewshot_core.spaces.region import ENUMERABLE
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet.gradients import divisible

if TYPE_CHECKING:
    from torch import nn

    from fewshot_core.pipeline.session import Session

EXPORTING = ("onnx", "onnxruntime", "onnxscript")
"""Packages that an export needs, and nothing before it."""

TRIED = 2
"""Images that networks are tried on."""


class MissingPackageError(FewshotError):
    """A package that a later stage needs cannot be found."""


def check(session: Session) -> None:
    """Find what is wrong with a run before anything is written or trained.

    Raises:
        FewshotError: The space, the regions, the paths, the data, the constraint, the evaluator,
            an optimiser, the strategy, the storage, or what a later stage needs cannot be what the
            recipe says.
    """
    recipe = session.recipe
    _check_packages()
    any_architecture = session.root.sample(random.Random(0))
    for region, parent in session.tree.walk():
        paths = (recipe.regions if parent else recipe.supernet).paths
        policy = make_paths(paths, region, session.front_cost)
        policy = policy.policy if isinstance(policy, PathBatches) else policy
        if isinstance(policy, CostPaths):
            policy.range  # noqa: B018  (it raises where no architecture is in the range)
        if paths.policy == "balanced":
            session.root.space.feature(paths.feature, any_architecture)
    if session.split_is_learned:
        divisible(session.root, recipe.split.count)
    require_feasible(session.root, session.costs, session.limits)
    check_batches(session, any_architecture)
    _check_evaluator(session, any_architecture)
    if recipe.evaluator.name in INHERITING:
        supernet = session.new_supernet(session.root)
        for settings in (recipe.supernet, recipe.regions)[: 1 + bool(session.tree.children)]:
            _try(session, supernet, settings, any_architecture)
    check_retraining(session, any_architecture)
    directions = Strategy.directions
    if recipe.strategy.name not in DIFFERENTIABLE:
        directions = session.strategy(budgets=False).directions
    if recipe.search.storage and session.accelerator.is_main_process:
        open_study(recipe.search.storage, session.study_name, directions)


def check_retraining(session: Session, architecture: Architecture) -> None:
    """Find what would stop the trainings from scratch, their test, or the export.

    Args:
        session: The run.
        architecture: One to try it with.

    Raises:
        FewshotError: An optimiser, augmentation, the teacher, the metric or the test images.
    """
    recipe, task = session.recipe, session.task
    network = session.build(lambda: task.network(architecture, recipe, session.data.shape), 0)
    # Retraining may be started with as many processes as can share its batches.
    if recipe.retrain.batch_size % session.worker.num_processes == 0:
        _try(session, network, recipe.retrain, None)
    task.export_model(architecture, recipe, session.data.shape)
    task.check_measurable(recipe, session.data, session.worker)
    session.data.check_test()
    session.worker.free_memory()


def _check_packages() -> None:
    missing = [name for name in EXPORTING if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            "an export, the last stage of this run, would fail",
            found=f"no package {', '.join(missing)}",
            fix=f"pip install {' '.join(missing)}",
        )


def _check_evaluator(session: Session, architecture: Architecture) -> None:
    name = session.recipe.evaluator.name
    if name in PROXIES:  # not every network can be scored by them
        session.evaluator().evaluate(architecture)
    if name == "table":
        evaluator = session.evaluator()
        assert isinstance(evaluator, TabularEvaluator)
        if session.root.box_size() <= ENUMERABLE:
            accepts = session.accepts()
            evaluator.require(a for a in session.root.enumerate() if accepts(a))
    if session.recipe.strategy.name in DIFFERENTIABLE:
        share = session.recipe.preferences.share
        train = session.search_data.train
        class_balanced_split(train.labels, share, 0, train.classes)


def _try(
    session: Session,
    model: nn.Module,
    settings: TrainingSettings,
    architecture: Architecture | None,
) -> None:
    """Make the stream and the objective of a training, and pass a few images through the model."""
    data = session.data if architecture is None else session.search_data
    stream = session.stream(data.train, settings, 0)
    if isinstance(stream, PrefetchedStream):
        stream = stream.stream  # without starting its workers
    session.task.objective(model, settings, 1, session.worker)
    images, targets = stream.example()
    device = session.worker.device
    model.to(device).train()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        # Twice the images of a process that has a single one, for batch norm.
        few = [torch.cat([part, part])[:TRIED].to(device) for part in (images, targets)]
        session.task.loss(model, (few[0], few[1]), architecture, session.worker)
