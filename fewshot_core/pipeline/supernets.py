"""The supernets of a run: made, trained one for each region, and loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Generic, TypeVar

import torch

from fewshot_core.errors import RunFolderError
from fewshot_core.pipeline.pretrained import fill
from fewshot_core.pipeline.processes import wait_until_ended
from fewshot_core.pipeline.regions import cut, learns_split
from fewshot_core.pipeline.run import Run
from fewshot_core.pipeline.tracking import track_training
from fewshot_core.pipeline.training import build, fit
from fewshot_core.recipe.trainings import SupernetSettings
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.origin import origin, write_origin
from fewshot_core.runs.reuse import trainer_of
from fewshot_core.search.differentiable import find_method
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.paths import make_paths
from fewshot_core.spaces.region import Region
from fewshot_core.supernet import Supernet
from fewshot_core.training.loop import DivergedError

Kept = TypeVar("Kept")


def settings_of(run: Run, region: Region) -> SupernetSettings:
    """How the supernet of a region is trained."""
    if region != run.root:
        return run.recipe.regions
    return replace(run.recipe.supernet, epochs=run.splitting.parent_epochs)


def new_supernet(run: Run, region: Region) -> Supernet:
    """A supernet of a region with fresh weights."""
    shape = run.images.search_data().shape
    seed = derive_seed(run.recipe.seed, "supernet", region.id)
    method = find_method(run.recipe)
    partial = 1 if method is None else method.partial
    model = build(run, lambda: run.task.supernet(region, run.recipe, shape, partial=partial), seed)
    assert isinstance(model, Supernet)
    return model


def train_supernet(
    run: Run, region: Region, parent: Supernet | None
) -> tuple[Supernet, StageState]:
    """The trained supernet of a region; ``parent`` is the one it inherits from, if any."""
    settings = settings_of(run, region)
    supernet = new_supernet(run, region)
    checkpoint = run.folder.checkpoint(region)
    notes: dict[str, Any] = {"region": region.id, "size": region.size()}
    if parent is not None:
        notes["inherited"] = supernet.inherit_from(parent).to_json()
    else:
        fill(run, supernet)
    state = fit(
        run,
        f"supernet {region.id}",
        supernet,
        settings,
        run.images.search_data().train,
        checkpoint,
        derive_seed(run.recipe.seed, "training", region.id),
        make_paths(settings.paths, region, run.front_cost),
        run.task.watch_supernet(run.recipe, region, run.worker),
    )
    if "region" not in state.notes:
        state.notes |= notes
        checkpoint.annotate(state.notes)
    return supernet, state


def load_supernet(run: Run, region: Region, device: torch.device | None = None) -> Supernet:
    """The supernet of a region as trained earlier in this run, by whichever process.

    Args:
        run: The run.
        region: The region.
        device: Where to put it; by default where it is scored.

    Raises:
        RunFolderError: It has not been trained, or its checkpoint is damaged.
    """
    supernet = new_supernet(run, region)
    weights = run.folder.checkpoint(region).load_finished()
    if run.strategy.differentiable:  # the preferences are of no use here
        mine = {k: v for k, v in weights.items() if k.startswith("supernet.")}
        weights = {name.removeprefix("supernet."): value for name, value in mine.items()}
    supernet.load_state_dict(weights)
    return supernet.to(device or run.worker.device).eval()


def train_supernets(run: Run) -> Run:
    """Train the supernets that architectures are scored with.

    Returns:
        See :func:`train_regions`.

    Raises:
        DivergedError: No leaf has a supernet.
    """

    def train(region: Region, parent: Supernet | None) -> None:
        _, state = train_supernet(run, region, parent)
        inherited = state.notes.get("inherited")
        # What another run has trained was paid there.
        where = ", trained in another run" if trainer_of(run.folder.path) else ""
        run.console.print(
            f"supernet {region.id}: {region.size() or 'many'} architectures, "
            f"{state.images:,} images seen, {state.seconds:.0f} s{where}"
            + (f", {inherited['copied']} tensors inherited" if inherited else "")
        )

    return train_regions(run, train)[0]


def train_regions(
    run: Run, train: Callable[[Region, Supernet | None], Kept]
) -> tuple[Run, dict[Region, Kept]]:
    """Train what every region needs, the root first, and cut a learned split on the way.

    Without inheritance only the leaves are used, so only they are trained. One supernet is trained
    at a time and none is kept: a parent's weights are read again for each of its children. Where
    the training of a region diverges, the others go on.

    Args:
        run: The run.
        train: Trains one region, from the supernet of its parent region, if it inherits. What it
            returns must not hold the supernet.

    Returns:
        The run with its regions, and with the leaves that have no supernet; and what ``train``
        returned for each region. Both are the same on every process.

    Raises:
        DivergedError: No leaf has a supernet.
    """
    write_origin(run.folder, origin_of(run))
    part = _Part(run, train)
    if learns_split(run.recipe):
        part.train(run.root, None)
        if not part.wait_for(run.root).diverged:
            run = part.run = cut(run, lambda: load_supernet(run, run.root))
    inherit, leaves = run.recipe.regions.inherit, run.tree.leaves()
    needed = regions_to_train(run)
    for region, parent in run.tree.walk():
        if region in needed:
            part.train(region, parent if inherit else None)
    kept = run.team.exchange(part.kept)
    diverged = run.team.exchange(part.diverged)
    if run.team.apart and run.writes:  # of those that other processes have trained
        for region, _ in run.tree.walk():
            state = run.folder.checkpoint(region).state()
            track_training(run.console, f"supernet {region.id}", state)
    run = replace(run, diverged={leaf: diverged[leaf] for leaf in leaves if leaf in diverged})
    for line in losses_of(run):
        run.console.print(line)
    if len(run.diverged) == len(leaves):
        raise DivergedError(
            "no region has a supernet",
            found="; ".join(dict.fromkeys(run.diverged.values())),
            fix="start another run with a lower lr or a grad_clip",
        )
    return run, kept


def regions_to_train(run: Run) -> list[Region]:
    """The regions of a run that have a supernet, parents before their children."""
    inherit, leaves = run.recipe.regions.inherit, run.tree.leaves()
    root_is_asked = learns_split(run.recipe)
    return [
        region
        for region, _ in run.tree.walk()
        if inherit or region in leaves or (root_is_asked and region == run.root)
    ]


def all_trained(run: Run, section: str) -> bool:
    """Whether the trainings that ``supernet`` or ``regions`` is about have all ended."""
    root = section == "supernet"
    mine = [region for region in regions_to_train(run) if (region == run.root) is root]
    try:
        states = [run.folder.checkpoint(region).state() for region in mine]
    except RunFolderError:  # damaged: its training goes on from what is whole, or says so
        return False
    return bool(states) and all(state.done or state.diverged for state in states)


def origin_of(run: Run) -> dict[str, Any]:
    """What the weights of this run's supernets depend on."""
    precision = run.accelerator.mixed_precision
    return origin(run.recipe, precision, run.images.data().inventory().digest)


def losses_of(run: Run) -> list[str]:
    """A line for each region that has no supernet."""
    return [
        f"diverged, its region is left out: {region.id} ({why}); in another run, lower "
        "regions.lr or set regions.grad_clip"
        for region, why in run.diverged.items()
    ]


class _Part(Generic[Kept]):
    """The part of the regions that this process trains."""

    def __init__(self, run: Run, train: Callable[[Region, Supernet | None], Kept]) -> None:
        self.run, self._train = run, train
        self.kept: dict[Region, Kept] = {}
        self.diverged: dict[Region, str] = {}

    def train(self, region: Region, parent: Region | None) -> None:
        """Train a region, unless it is another process's or has been trained."""
        mine = self.run.team.owners(self.run.tree)[region] == self.run.team.rank
        if not mine or region in self.kept or region in self.diverged:
            return
        source = None
        if parent is not None:
            ended = self.wait_for(parent)
            why = self.diverged.get(parent) or ended.diverged
            if why:
                self._give_up(region, why)
                return
            source = load_supernet(self.run, parent, torch.device("cpu"))
        try:
            self.kept[region] = self._train(region, source)
        except DivergedError as error:
            self._give_up(region, error.what)

    def wait_for(self, region: Region) -> StageState:
        """How the training of a region ended, wherever it runs."""
        run = self.run
        alive = partial(run.team.require, run.team.owners(run.tree)[region])
        return wait_until_ended(run.folder.checkpoint(region), run.stop, alive)

    def _give_up(self, region: Region, why: str) -> None:
        self.diverged[region] = why
        self.run.folder.checkpoint(region).give_up(why)
