"""Section ``network`` of a recipe of this task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial

from fewshot_core.description import SUPERNET, Description
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread, by_choice, of_supernets
from fewshot_tasks.cifar10.darts import NAME as DARTS
from fewshot_tasks.cifar10.darts import DartsSpace, darts
from fewshot_tasks.cifar10.graph import PARENTS, GraphSpace, nasbench1shot1
from fewshot_tasks.cifar10.space import CellSpace, nasbench201

_SPACE_OF = dict.fromkeys(("auxiliary", "drop_path_rate"), (DARTS,))

SPACES: dict[str, Callable[[], CellSpace | GraphSpace | DartsSpace]] = {
    "nasbench201": nasbench201,
    DARTS: darts,
    **{name: partial(nasbench1shot1, name) for name in PARENTS},
}


@dataclass(frozen=True)
class CellSettings:
    """The space, and the size of its networks."""

    space: str = setting("nasbench201", " | ".join(SPACES), choices=tuple(SPACES))
    channels: int = setting(16, "C: channels of the first stage; the others have 2C and 4C", low=1)
    cells_per_stage: int = setting(5, "N: cells in each of the three stages", low=1)
    auxiliary: bool = setting(False, "darts: whether trainings have an auxiliary head")
    drop_path_rate: float = setting(
        0.0,
        "darts: share of an edge's images that are dropped in the end of a training from scratch",
        low=0,
        below=1,
    )
    supernet_channels: int | None = setting(None, "C of the supernet; none: as many", low=1)
    supernet_cells_per_stage: int | None = setting(None, "N of the supernet; none: as many", low=1)
    supernet_affine: bool = setting(False, "whether batch norm in the supernet's cells has weights")


def find_unread(recipe: Recipe) -> Iterator[Unread]:
    """Settings of the section that a run would not read."""
    network = recipe.network
    if network.space in SPACES:
        yield from by_choice("network", "space", network.space, _SPACE_OF)
    for field in fields(network):
        if field.name.startswith(SUPERNET):
            yield from of_supernets(f"network.{field.name}", recipe)


def make_space(settings: CellSettings) -> CellSpace | GraphSpace | DartsSpace:
    """The space that the section names."""
    return SPACES[settings.space]()


DESCRIPTION = Description({"network": CellSettings})
