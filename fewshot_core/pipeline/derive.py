"""Derive: learn preferences together with the supernets, and take the architectures they name."""

from __future__ import annotations

from typing import Any

import torch

from fewshot_core.errors import ConstraintError, RecipeError, RegionError
from fewshot_core.pipeline.regions import learns_split
from fewshot_core.pipeline.relaxation import Relaxation
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.supernets import new_supernet, train_regions
from fewshot_core.pipeline.training import make_stream
from fewshot_core.runs.files import write_json
from fewshot_core.search.differentiable import make_method
from fewshot_core.search.preferences.naming import DERIVED, name_architectures, probabilities
from fewshot_core.search.preferences.relaxed import RelaxedSupernet
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet


def derive(run: Run) -> tuple[Run, dict[Region, list[Architecture]]]:
    """Train the relaxed supernet of every region; the architectures that each leaf prefers.

    How many a leaf names is for the strategy to say (:attr:`Method.count`), which of them is the
    best for the evaluator. A leaf where nothing satisfies the constraint names none.

    Returns:
        The run with its regions, as of :func:`fewshot_core.pipeline.supernets.train_regions`, and
        the architectures of each leaf.

    Raises:
        ConstraintError: No leaf has anything acceptable.
    """
    recipe, learned = run.recipe, learns_split(run.recipe)
    leaves = set(run.tree.leaves())  # of a learned split they are not known yet
    count = make_method(recipe).count

    def train(region: Region, parent: Supernet | None) -> tuple[Any, list[Architecture]] | None:
        model = Relaxation(run, region).trained(parent)
        if not learned and region not in leaves:
            return None
        seed = derive_seed(recipe.seed, "preferences", region.id)
        names = name_architectures(model, run.accepts(), count, seed)
        return probabilities(model, seed), names

    run, kept = train_regions(run, train)
    found: dict[Region, list[Architecture]] = {}
    rows = []
    for leaf in run.tree.leaves():
        result = kept.get(leaf)
        if result is None:  # its training diverged
            continue
        preferences, found[leaf] = result
        if not found[leaf]:
            run.console.print(f"region {leaf.id}: nothing in it satisfies the constraint")
        rows.append(
            {
                "region": leaf.id,
                "preferences": preferences,
                "architectures": [leaf.space.genotype(a) for a in found[leaf]],
            }
        )
    if not any(found.values()):
        raise ConstraintError("no region has anything acceptable", fix="raise constraint.*")
    if run.writes:
        write_json(run.folder.file(DERIVED), rows)
    return run, found


def require_relaxable(run: Run) -> None:
    """Find out before anything is written whether :func:`derive` can run.

    Raises:
        RecipeError: More than one process for a supernet.
        RegionError: The task's supernet cannot run mixtures, or its loss is no reward.
    """
    if run.worker.num_processes > 1:
        raise RecipeError(
            f"strategy={run.recipe.strategy.name} trains a supernet on one process",
            found=f"{run.worker.num_processes} processes for each",
            fix="set processes=regions, or start it with --num_processes 1",
        )
    supernet = new_supernet(run, run.root)
    if not supernet.loss_compares:
        raise RegionError(
            f"the loss of {type(supernet).__name__} does not tell how good an architecture is",
            fix="use a strategy that asks for scores",
        )
    if not make_method(run.recipe).mixes:
        return
    batch = make_stream(run, run.images.search_data().train, run.recipe.supernet, 0).batch(0)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        RelaxedSupernet(supernet.to(run.worker.device))(batch[0].to(run.worker.device))
