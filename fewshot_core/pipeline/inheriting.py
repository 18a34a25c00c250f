"""A network with the weights that it inherits from the supernet of its region, not retrained.

It is what a score of the search was measured on: the same weights, and batch norm recalibrated on
the same images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fewshot_core.description import as_supernet, supernet_sizes
from fewshot_core.errors import RecipeError, RegionError, RunFolderError
from fewshot_core.evaluators.inherited import representative
from fewshot_core.pipeline.run import KeptRun, Run
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.supernets import load_supernet
from fewshot_core.pipeline.training import build
from fewshot_core.recipe.schema import Recipe
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, keep_calibrated
from fewshot_core.training.objective import CalibratingScorer, Scorer


@dataclass(frozen=True)
class Inherited:
    """A network with inherited weights.

    Attributes:
        network: What is handed over of it, on the CPU, in ``eval()`` mode.
        architecture: What it is: the canonical form of what was asked for, where equal networks
            share one score.
        region: The region whose supernet has its weights.
        metrics: What it reaches on the validation images; never on test images.
        calibrated: Training images, or noise vectors, that batch norm was measured on; 0: it was
            not.
    """

    network: nn.Module
    architecture: Architecture
    region: Region
    metrics: Mapping[str, float]
    calibrated: int


def require_inheritable(run: Run) -> None:
    """Raise unless networks of a run can have the weights of its supernets.

    Raises:
        RunFolderError: It trains no supernets.
    """
    _require_inheritable(
        run, f"run fewshot retrain run={run.folder.path}, and export without weights=inherited"
    )


def require_inherited_start(run: Run) -> None:
    """Raise unless networks can be fine-tuned from the weights of the run's supernets.

    Raises:
        RunFolderError: It trains no supernets.
        RecipeError: Its supernets have other sizes than the networks that are trained.
    """
    fix = "retrain.start=scratch"
    _require_inheritable(run, fix)
    recipe = run.recipe
    other = []
    for name in run.task.description.sections:
        section = getattr(recipe, name)
        small = as_supernet(section)
        for size in supernet_sizes(type(section)):
            own, theirs = getattr(section, size), getattr(small, size)
            if own != theirs:
                other.append(f"{name}.{size}={own}, and {theirs} in supernets")
    if other:
        raise RecipeError(
            "retrain.start=inherited needs supernets of the size of the networks",
            found="; ".join(other),
            fix=fix,
        )


def _require_inheritable(run: Run, fix: str) -> None:
    if not run.evaluator.inherits:
        raise RunFolderError(
            f"{run.folder.path} has no supernets whose weights a network could have",
            found=f"evaluator={run.recipe.evaluator.name}",
            fix=fix,
        )


def inherit_network(run: Run, architecture: Architecture) -> Inherited:
    """The network of an architecture with its supernet's weights, measured on validation images.

    Args:
        run: The run; its supernets are trained.
        architecture: Of its space.

    Raises:
        RunFolderError: The supernet of its region is not trained, has diverged, or is damaged.
        RegionError: Networks of this supernet have other parts than those trained from scratch.
    """
    require_inheritable(run)
    if run.shares_equal:
        architecture = representative(run.root, architecture)
    made = _calibrated(run, architecture)
    metrics = made.scorer.score(made.network, None)
    region = made.supernet.region
    return Inherited(made.network.cpu().eval(), architecture, region, metrics, made.count)


def start_from_supernet(run: Run, architecture: Architecture, network: nn.Module) -> None:
    """Put the weights of an architecture's supernet into a network that is to be fine-tuned.

    Args:
        run: The run; its supernets are trained.
        architecture: Of its space.
        network: As it is built to be trained; it may have dropout that the supernet has not.

    Raises:
        RunFolderError: The supernet of its region is not trained, has diverged, or is damaged.
        RegionError: Networks of this supernet have other parts than those trained from scratch.
    """
    require_inherited_start(run)
    made = _calibrated(run, architecture)
    run.task.start_from_supernet(network, made.network, made.supernet)


@dataclass(frozen=True)
class _Calibrated:
    """A network with its supernet's weights and batch-norm statistics of its own.

    Attributes:
        network: On the device, in ``eval()`` mode.
        supernet: That of its region.
        scorer: Measures it on validation images.
        count: Inputs that the statistics were measured on.
    """

    network: nn.Module
    supernet: Supernet
    scorer: Scorer
    count: int


def _calibrated(run: Run, architecture: Architecture) -> _Calibrated:
    supernet = load_supernet(run, run.tree.locate(architecture))
    network = as_trained_alone(run, architecture, supernet.extract(architecture))
    network = network.to(run.worker.device).eval()
    scorer = make_scorer(run, run.recipe, run.images.search_data(), "validation")
    batches = scorer.calibration if isinstance(scorer, CalibratingScorer) else ()

    def forward(inputs: Tensor) -> object:
        with run.worker.autocast():
            return network(inputs)

    keep_calibrated(network, batches, forward)
    return _Calibrated(network, supernet, scorer, sum(map(len, batches)))


def as_trained_alone(run: Run, architecture: Architecture, extracted: nn.Module) -> nn.Module:
    """What is handed over of a network trained from scratch, with the weights of an extracted one.

    A supernet's batch norm may have no weights of its own; here they are 1 and 0, which is the
    same function.

    Raises:
        RegionError: The two differ in something else.
    """
    recipe = as_searched(run.recipe, run)
    shape = run.images.search_data().shape
    whole = build(run, lambda: run.task.network(architecture, recipe, shape), 0)
    network = run.task.result(whole)
    found = network.load_state_dict(extracted.state_dict(), strict=False)
    norms = {name: m for name, m in network.named_modules() if isinstance(m, _BatchNorm)}
    others = [key for key in found.missing_keys if key.rpartition(".")[0] not in norms]
    if others or found.unexpected_keys:
        raise RegionError(
            "the supernet's weights are not those of a network that is trained from scratch",
            found=", ".join([*others, *found.unexpected_keys][:4]),
            fix="retrain it, and export without weights=inherited",
        )
    with torch.no_grad():
        for key in found.missing_keys:
            norm, _, name = key.rpartition(".")
            getattr(norms[norm], name).fill_(1.0 if name == "weight" else 0.0)
    return network


def as_searched(recipe: Recipe, run: KeptRun) -> Recipe:
    """A recipe whose networks have the sizes that the supernets have."""
    own = {name: as_supernet(getattr(recipe, name)) for name in run.task.description.sections}
    return replace(recipe, **own)
