"""Section ``network`` of a recipe of this task, and the space it describes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fewshot_core.description import Description
from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.recipe.declare import check_values, setting
from fewshot_core.recipe.schema import InheritingSettings, Recipe
from fewshot_core.recipe.unread import Unread, by_choice, of_supernets
from fewshot_tasks.imagenet.fbnet import fbnet
from fewshot_tasks.imagenet.skeleton import (
    fbnet_skeleton,
    lab_variant,
    macro_skeleton,
    ofa_skeleton,
    proxyless_skeleton,
)
from fewshot_tasks.imagenet.space import (
    EXPANSIONS,
    KERNELS,
    MobileSpace,
    nasbench_macro,
    ofa_mbv3,
    proxyless,
)

SPACES = ("ofa_mbv3", "proxyless", "fbnet", "nasbench_macro")

_VARIED = ("ofa_mbv3", "proxyless", "fbnet")
_SPACE_OF = {
    "depths": ("ofa_mbv3",),
    "learned_kernels": ("ofa_mbv3",),
    "blocks": ("proxyless",),
    **dict.fromkeys(("kernels", "expansions"), ("ofa_mbv3", "proxyless")),
    **dict.fromkeys(("units", "strides", "stem_stride", "head"), _VARIED),
}
"""Settings that some spaces alone have."""


@dataclass(frozen=True)
class MobileSettings:
    """The space and its variants: with the defaults those of the papers."""

    space: str = setting("ofa_mbv3", " | ".join(SPACES), choices=SPACES)
    width: float = setting(
        1.0,
        "multiplies all widths, rounded to 8; OFA released 1.0 and 1.2",
        above=0,
        high=16,
    )
    depths: list[int] = setting([2, 3, 4], "ofa_mbv3: blocks of a unit")
    blocks: int = setting(
        4,
        "proxyless: places for blocks in a unit, all but the first can be skipped",
        low=1,
        high=16,
    )
    kernels: list[int] = setting(list(KERNELS), "kernel sizes of depthwise convolutions")
    expansions: list[int] = setting([], "empty: 3, 4, 6, or of proxyless 3, 6")
    units: list[int] = setting([], "units that stay, from 1 on; empty: all")
    strides: list[int] = setting([], "1 or 2 for each of them; empty: the paper's")
    stem_stride: int = setting(2, "1 for images of 32 pixels")
    head: int | None = setting(
        None, "features before the classifier; none: 1280, of fbnet 1984, wider with the width"
    )
    drop_rate: float = setting(0.0, "dropout before the classifier", low=0, below=1)
    drop_path_rate: float = setting(
        0.0, "stochastic depth, in networks trained from scratch alone", low=0, below=1
    )
    learned_kernels: bool = setting(True, "ofa_mbv3: whether small kernels are transformed centres")


def find_unread(recipe: Recipe) -> Iterator[Unread]:
    """Settings of the section that a run would not read."""
    space = recipe.network.space
    if space in SPACES:
        yield from by_choice("network", "space", space, _SPACE_OF)
    yield from of_supernets("network.learned_kernels", recipe)


def check_recipe(recipe: Recipe) -> Iterator[str]:
    """What is wrong with the section, and with scores of its networks."""
    if any(check_values(recipe.network, "network")):  # said already, and nothing can be built
        return
    try:
        make_space(recipe.network, recipe.data.image_size)
    except FewshotError as error:
        yield str(error)
    # With statistics over all paths a mobile network scores like chance.
    evaluator = recipe.evaluator
    if isinstance(evaluator, InheritingSettings) and evaluator.recalibrate < 1:
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
    if settings.space == "nasbench_macro":
        return nasbench_macro(macro_skeleton(settings.width), image_size=image_size)
    variant: dict[str, Any] = {
        "units": settings.units,
        "strides": settings.strides,
        "stem_stride": settings.stem_stride,
        "head": settings.head,
    }
    if settings.space == "fbnet":
        skeleton = lab_variant(fbnet_skeleton(settings.width), **variant)
        return fbnet(skeleton, image_size=image_size)
    expansions = settings.expansions or EXPANSIONS[settings.space]
    if settings.space == "proxyless":
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
