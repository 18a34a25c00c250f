"""Section ``network`` of a recipe of this task, and the space it describes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fewshot_core.errors import FewshotError, RecipeError, nearest
from fewshot_core.recipe.check import INHERITING
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.unread import Unread, by_choice, of_supernets
from fewshot_core.tasks import Description
from tasks.imagenet.skeleton import lab_variant, ofa_skeleton, proxyless_skeleton
from tasks.imagenet.space import EXPANSIONS, KERNELS, MobileSpace, ofa_mbv3, proxyless

SPACES = ("ofa_mbv3", "proxyless")

_SPACE_OF = {"depths": ("ofa_mbv3",), "learned_kernels": ("ofa_mbv3",), "blocks": ("proxyless",)}


@dataclass
class MobileSettings:
    """The space and its variants: with the defaults those of the papers."""

    space: str = "ofa_mbv3"  # ofa_mbv3 | proxyless
    width: float = 1.0  # multiplies all widths, rounded to 8; OFA released 1.0 and 1.2
    depths: list[int] = field(default_factory=lambda: [2, 3, 4])  # ofa_mbv3: blocks of a unit
    blocks: int = 4  # proxyless: places for blocks in a unit, all but the first can be skipped
    kernels: list[int] = field(default_factory=lambda: list(KERNELS))
    expansions: list[int] = field(default_factory=list)  # empty: 3, 4, 6, or of proxyless 3, 6
    units: list[int] = field(default_factory=list)  # units that stay, from 1 on; empty: all
    strides: list[int] = field(default_factory=list)  # 1 or 2 for each of them; empty: the paper's
    stem_stride: int = 2  # 1 for images of 32 pixels
    head: int | None = None  # features before the classifier; none: 1280, wider with the width
    drop_rate: float = 0.0  # dropout before the classifier
    drop_path_rate: float = 0.0  # stochastic depth, in networks trained from scratch alone
    learned_kernels: bool = True  # ofa_mbv3: whether small kernels are transformed centres


def find_unread(recipe: Recipe) -> Iterator[Unread]:
    """Settings of the section that a run would not read."""
    space = recipe.network.space
    if space in SPACES:
        yield from by_choice("network", "space", space, _SPACE_OF)
    yield from of_supernets("network.learned_kernels", recipe)


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """What is wrong with the section, and with scores of its networks."""
    try:
        make_space(recipe.network, recipe.data.image_size)
    except FewshotError as error:
        yield str(error)
    # With statistics over all paths a mobile network scores like chance.
    if recipe.evaluator.name in INHERITING and recipe.evaluator.recalibrate < 1:
        yield (
            "evaluator.recalibrate=0 scores networks with batch-norm statistics of others: set "
            "images to measure them anew with, for example 2000"
        )


DESCRIPTION = Description({"network": MobileSettings})


def make_space(settings: MobileSettings, image_size: int | None) -> MobileSpace:
    """The space that the section describes.

    Args:
        settings: The section.
        image_size: For the feature ``mflops``; None: there is none.

    Raises:
        RecipeError: A setting is out of range.
    """
    if settings.space not in SPACES:
        raise RecipeError(
            f"network.space={settings.space} is unknown",
            allowed=", ".join(SPACES),
            fix=nearest(settings.space, SPACES) or None,
        )
    if not 0 < settings.width <= 16:
        raise RecipeError("network.width is out of range", found=settings.width, allowed="to 16")
    for name in ("drop_rate", "drop_path_rate"):
        if not 0 <= getattr(settings, name) < 1:
            raise RecipeError(
                f"network.{name} is out of range",
                found=getattr(settings, name),
                allowed="at least 0 and below 1",
            )
    variant: dict[str, Any] = {
        "units": settings.units,
        "strides": settings.strides,
        "stem_stride": settings.stem_stride,
        "head": settings.head,
    }
    expansions = settings.expansions or EXPANSIONS[settings.space]
    if settings.space == "proxyless":
        if not 1 <= settings.blocks <= 16:
            raise RecipeError(
                "network.blocks is out of range", found=settings.blocks, allowed="1 to 16"
            )
        skeleton = lab_variant(proxyless_skeleton(settings.width, settings.blocks), **variant)
        return proxyless(
            skeleton, kernels=settings.kernels, expansions=expansions, image_size=image_size
        )
    slots = max(settings.depths, default=1)
    if not 1 <= slots <= 16:
        raise RecipeError(
            "network.depths is out of range", found=settings.depths, allowed="1 to 16"
        )
    return ofa_mbv3(
        lab_variant(ofa_skeleton(settings.width, slots), **variant),
        depths=settings.depths,
        kernels=settings.kernels,
        expansions=expansions,
        image_size=image_size,
    )
