"""Section ``network`` of a recipe of this task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from fewshot_core.errors import nearest
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread, of_supernets
from fewshot_core.recipe.words import with_hint
from fewshot_core.tasks import SUPERNET, Description
from tasks.cifar10.space import CellSpace, nasbench201

SPACES = {"nasbench201": nasbench201}


@dataclass
class CellSettings:
    """Section ``network`` of a recipe of this task."""

    space: str = "nasbench201"
    channels: int = 16  # C: channels of the first stage; the others have 2C and 4C
    cells_per_stage: int = 5  # N: cells in each of the three stages
    supernet_channels: int | None = None  # C of the supernet; none: as many
    supernet_cells_per_stage: int | None = None  # N of the supernet; none: as many
    supernet_affine: bool = False  # whether batch norm in the supernet's cells has weights


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """What is wrong with the section."""
    settings = recipe.network
    if settings.space not in SPACES:
        hint = nearest(settings.space, SPACES)
        yield with_hint(f"network.space={settings.space} is none of {', '.join(SPACES)}", hint)
    for field in fields(settings):
        value = getattr(settings, field.name)
        if type(value) is int and value < 1:
            yield f"network.{field.name}={value} must be at least 1"


def find_unread(recipe: Recipe) -> Iterator[Unread]:
    """Settings of the section that a run would not read."""
    for field in fields(recipe.network):
        if field.name.startswith(SUPERNET):
            yield from of_supernets(f"network.{field.name}", recipe)


def make_space(settings: CellSettings) -> CellSpace:
    """The space that the section names."""
    return SPACES[settings.space]()


DESCRIPTION = Description({"network": CellSettings})
