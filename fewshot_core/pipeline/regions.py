"""The regions of a run: whether its supernet is split, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from accelerate.utils import broadcast_object_list
from torch import Tensor

from fewshot_core.pipeline.images import RunImages
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.training import make_stream
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.files import read_json, write_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.split_rule import SPLITTING, SplitDecision, decide_split, read_splitting
from fewshot_core.spaces.splitters import LearnedLevel, SplitterContext, grow_tree
from fewshot_core.supernet import Supernet

REGIONS = "regions.json"
"""The file of a run folder that keeps the regions."""


def learns_split(recipe: Recipe) -> bool:
    """Whether the regions depend on the trained parent supernet."""
    return plugin_of("splitter", recipe.split).learned


def choose_splitting(
    recipe: Recipe, folder: RunFolder, root: Region, images: RunImages
) -> SplitDecision:
    """Whether the supernet is split: as the run has decided, or else by the rule.

    The images are read for the rule that looks at them, and for no other.

    Raises:
        RegionError: The split cannot be what the recipe says.
        RunFolderError: What the run has decided cannot be read.
    """
    kept = folder.known(SPLITTING)
    if kept.exists():
        return read_splitting(kept.parent)
    learned = recipe.split if isinstance(recipe.split, LearnedLevel) else None
    regions = learned.count if learned else len(_grow(recipe, root).leaves())
    counted = regions > 1 and recipe.split.when == "auto"
    return decide_split(recipe, regions, root, len(images.data().train) if counted else 0)


def plant_tree(
    recipe: Recipe, folder: RunFolder, root: Region, splitting: SplitDecision
) -> RegionTree:
    """The regions as far as they are known: of a learned split the root alone until it is cut.

    Raises:
        RunFolderError: The file that keeps them is damaged.
    """
    if not splitting.split:
        return RegionTree(root)
    if not learns_split(recipe):
        return _grow(recipe, root)
    return read_tree(folder, root)


def read_tree(folder: RunFolder, root: Region) -> RegionTree:
    """The regions that the run folder holds; the root alone where it holds none.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = folder.known(REGIONS)
    if not path.exists():
        return RegionTree(root)
    found = read_json(path, "delete it, and run the same fewshot search again")
    return RegionTree.from_json(root.space, found)


def cut(run: Run, load_parent: Callable[[], Supernet]) -> Run:
    """Decide the regions of a learned split, once; all processes have to call it.

    Args:
        run: The run.
        load_parent: Loads the trained supernet of the root; only the process that writes asks.

    Returns:
        The run with its regions.
    """
    if not (run.splitting.split and learns_split(run.recipe)) or run.tree.children:
        return run
    found: list[Any] = [None]
    if run.writes:
        found = [_grow_learned(run, load_parent()).to_json()]
    # Rounding may differ between processes; one decides.
    tree = RegionTree.from_json(run.root.space, broadcast_object_list(found)[0])
    if run.writes:
        write_json(run.folder.file(REGIONS), tree.to_json())
    return replace(run, tree=tree)


def _grow(recipe: Recipe, root: Region) -> RegionTree:
    """The regions of a split that is known without weights."""
    return grow_tree(root, recipe.split, SplitterContext(_seed(recipe)))


def _grow_learned(run: Run, parent: Supernet) -> RegionTree:
    """The regions of a split that looks at the trained supernet of the root."""
    seed, device = _seed(run.recipe), run.worker.device
    stream = make_stream(run, run.images.search_data().train, run.recipe.supernet, seed)

    def loss(model: Supernet, architecture: Architecture, sample: int) -> Tensor:
        images, targets = stream.batch(sample)
        batch = (images.to(device), targets.to(device))
        return run.task.loss(model, batch, architecture, run.worker)

    return grow_tree(run.root, run.recipe.split, SplitterContext(seed, parent, loss))


def _seed(recipe: Recipe) -> int:
    return derive_seed(recipe.seed, "split")
