"""Train a supernet for every region, each after the one it inherits from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fewshot_core.pipeline.session import Session
from fewshot_core.region import Region
from fewshot_core.supernet import Supernet

Trained = TypeVar("Trained")


def train_supernets(session: Session) -> None:
    """Train the supernets that architectures are scored with."""

    def train(region: Region, parent: Supernet | None) -> Supernet:
        supernet, state = session.train_supernet(region, parent)
        inherited = state.notes.get("inherited")
        session.console.print(
            f"supernet {region.id}: {region.size() or 'many'} architectures, "
            f"{state.images:,} images seen, {state.seconds:.0f} s"
            + (f", {inherited['copied']} tensors inherited" if inherited else "")
        )
        return supernet

    train_regions(session, train, lambda supernet: supernet)


def train_regions(
    session: Session,
    train: Callable[[Region, Trained | None], Trained],
    supernet: Callable[[Trained], Supernet],
) -> dict[Region, Trained]:
    """Train what every region needs, the root first, and cut a learned split on the way.

    Without inheritance only the leaves are used, so only they are trained.

    Args:
        session: Whose regions.
        train: Trains one region, from what its parent region trained, if it inherits.
        supernet: The supernet in what was trained.

    Returns:
        What was trained, by region.
    """
    trained: dict[Region, Trained] = {}
    if session.split_is_learned:
        trained[session.root] = train(session.root, None)
        session.cut(supernet(trained[session.root]))
    inherit, leaves = session.recipe.regions.inherit, session.tree.leaves()
    for region, parent in session.tree.walk():
        if region in trained or not (inherit or region in leaves):
            continue
        trained[region] = train(region, trained[parent] if parent and inherit else None)
    return trained
