"""Scores of a run: by which supernet, by which evaluator, and alike on every process."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fewshot_core.costs.table import Constraint
from fewshot_core.evaluators import Evaluator, InheritedEvaluator, TabularEvaluator
from fewshot_core.evaluators.agreed import AgreedEvaluator, agreed
from fewshot_core.evaluators.inherited import representative
from fewshot_core.evaluators.standalone import StandaloneEvaluator
from fewshot_core.pipeline.predictor import learn_scores
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.scorers import make_scorer
from fewshot_core.pipeline.standalone import proxy_evaluator, standalone_score
from fewshot_core.pipeline.supernets import load_supernet
from fewshot_core.recipe.check import INHERITING, PROXIES
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture


def scoring_region(run: Run, architecture: Architecture) -> Region:
    """The region whose supernet gives an architecture its score."""
    settings = run.recipe.evaluator
    if settings.name in INHERITING and settings.share_equal:
        architecture = representative(run.root, architecture)
    return run.tree.locate(architecture)


def searchable(run: Run) -> Constraint:
    """Whether an architecture satisfies the constraint and its region has a supernet."""
    if not run.diverged:
        return run.accepts()
    return Constraint(run.costs, run.limits, lambda a: scoring_region(run, a) in run.diverged)


def make_evaluator(run: Run, tree: RegionTree | None = None) -> Evaluator:
    """The evaluator of the recipe; ``tree`` replaces the run's regions."""
    settings = run.recipe.evaluator
    if settings.name == "table":
        return TabularEvaluator(run.root.space, Path(str(settings.table)), settings.column)
    if settings.name == "standalone":
        return StandaloneEvaluator(partial(standalone_score, run), settings.score)
    if settings.name in PROXIES:
        return proxy_evaluator(run)
    if settings.name == "predictor":
        return learn_scores(run, searchable(run), lambda: agree(run, make_inherited(run)))
    return make_inherited(run, tree)


def make_inherited(run: Run, tree: RegionTree | None = None) -> InheritedEvaluator:
    """The evaluator of inherited weights, whatever the recipe's is."""
    settings = run.recipe.evaluator
    return InheritedEvaluator(
        tree or run.tree,
        partial(load_supernet, run),
        make_scorer(run, run.recipe, run.images.search_data(), "validation"),
        score=settings.score,
        share_equal=settings.share_equal,
    )


def agree(run: Run, evaluator: Evaluator) -> AgreedEvaluator:
    """An evaluator that all processes ask alike for the same scores.

    Where each process works on its own, who has trained the supernet of a region scores in it.
    """
    if not run.team.apart:
        return agreed(evaluator)
    owners, size = run.team.owners(run.tree), run.team.size

    def owner(architecture: Architecture) -> int:
        if isinstance(evaluator, InheritedEvaluator):
            return owners[scoring_region(run, architecture)]
        return derive_seed(0, "owner", architecture.id) % size

    return agreed(evaluator, run.team, owner)


def make_agreed(run: Run) -> AgreedEvaluator:
    """The evaluator of the recipe, asked by all processes alike; see :func:`agree`."""
    return agree(run, make_evaluator(run))
