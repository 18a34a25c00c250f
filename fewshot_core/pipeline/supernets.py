"""Train a supernet for every region, each after the one it inherits from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import torch

from fewshot_core.pipeline.processes import wait_until_ended
from fewshot_core.pipeline.session import Session
from fewshot_core.runs.checkpoint import StageState
from fewshot_core.runs.origin import write_origin
from fewshot_core.spaces.region import Region
from fewshot_core.supernet import Supernet
from fewshot_core.training.loop import DivergedError

Kept = TypeVar("Kept")


def train_supernets(session: Session) -> None:
    """Train the supernets that architectures are scored with."""

    def train(region: Region, parent: Supernet | None) -> None:
        _, state = session.train_supernet(region, parent)
        inherited = state.notes.get("inherited")
        session.console.print(
            f"supernet {region.id}: {region.size() or 'many'} architectures, "
            f"{state.images:,} images seen, {state.seconds:.0f} s"
            + (f", {inherited['copied']} tensors inherited" if inherited else "")
        )

    train_regions(session, train)


def train_regions(
    session: Session, train: Callable[[Region, Supernet | None], Kept]
) -> dict[Region, Kept]:
    """Train what every region needs, the root first, and cut a learned split on the way.

    Without inheritance only the leaves are used, so only they are trained. One supernet is trained
    at a time and none is kept: a parent's weights are read again for each of its children. A region
    whose training diverges is noted in ``session.diverged``, and the others go on.

    Args:
        session: Whose regions.
        train: Trains one region, from the supernet of its parent region, if it inherits. What it
            returns must not hold the supernet.

    Returns:
        What ``train`` returned for each region, on every process.

    Raises:
        DivergedError: No leaf has a supernet.
    """
    write_origin(session.folder, session.origin)
    run = _Part(session, train)
    if session.split_is_learned:
        run.train(session.root, None)
        ended = run.ended(session.root)
        if not ended.diverged:
            session.cut()
    inherit, leaves = session.recipe.regions.inherit, session.tree.leaves()
    for region, parent in session.tree.walk():
        if inherit or region in leaves:
            run.train(region, parent if inherit else None)
    kept = session.team.exchange(run.kept)
    diverged = session.team.exchange(run.diverged)
    session.diverged = {leaf: diverged[leaf] for leaf in leaves if leaf in diverged}
    for line in session.losses():
        session.console.print(line)
    if len(session.diverged) == len(leaves):
        raise DivergedError(
            "no region has a supernet",
            found="; ".join(dict.fromkeys(session.diverged.values())),
            fix="start another run with a lower lr or a grad_clip",
        )
    return kept


class _Part(Generic[Kept]):
    """The part of the regions that this process trains."""

    def __init__(self, session: Session, train: Callable[[Region, Supernet | None], Kept]) -> None:
        self.session, self._train = session, train
        self.kept: dict[Region, Kept] = {}
        self.diverged: dict[Region, str] = {}

    def train(self, region: Region, parent: Region | None) -> None:
        session = self.session
        mine = session.team.owners(session.tree)[region] == session.team.rank
        if not mine or region in self.kept or region in self.diverged:
            return
        source = None
        if parent is not None:
            ended = self.ended(parent)
            why = self.diverged.get(parent) or ended.diverged
            if why:
                self._give_up(region, why)
                return
            source = session.load_supernet(parent, torch.device("cpu"))
        try:
            self.kept[region] = self._train(region, source)
        except DivergedError as error:
            self._give_up(region, error.what)

    def ended(self, region: Region) -> StageState:
        """How the training of a region ended, wherever it runs."""
        session, owner = self.session, self.session.team.owners(self.session.tree)[region]
        alive = partial(session.team.require, owner)
        return wait_until_ended(session.folder.checkpoint(region), session.stop, alive)

    def _give_up(self, region: Region, why: str) -> None:
        self.diverged[region] = why
        self.session.folder.checkpoint(region).give_up(why)
