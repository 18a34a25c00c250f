"""A mobile space that fits a size of images and a limit: what :meth:`MobileTask.fit` chooses."""

from __future__ import annotations

from dataclasses import replace

from fewshot_core.costs.table import CostTable
from fewshot_core.data import ImageShape
from fewshot_core.recipe.fitting import Fitting, scale_of
from fewshot_core.spaces.extremes import extreme
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_tasks.imagenet.costs import cost_table
from fewshot_tasks.imagenet.settings import MobileSettings, make_space
from fewshot_tasks.imagenet.space import MobileSpace

WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25)
"""What all widths of the space are multiplied by, from the largest."""

ROOM = 0.6
"""The cheapest network takes at most this share of the limit: something must be left to choose."""

SPACE = "ofa_mbv3"

_FINE = ("network.units", "network.strides", "network.stem_stride")


def fit_network(fitting: Fitting) -> None:
    """Choose strides, depths and width; spaces that a recipe has shaped itself stay as they are."""
    side = fitting.value("data.image_size")
    if side is None or fitting.value("network.space", SPACE) != SPACE:
        return
    if not any(key in fitting.given for key in _FINE):
        _fit_strides(fitting, int(side))
    if scale_of(fitting.facts.images).side < 128:
        reason = "blocks of a unit: fewer than usual, for few images"
        fitting.choose("network.depths", [1, 2, 3], reason)
    if "network.width" not in fitting.given:
        _fit_width(fitting, int(side))


def _fit_strides(fitting: Fitting, side: int) -> None:
    """As many halvings as leave 3 to 7 pixels of a side; the paper's five for 128 pixels and more.

    Spaces of CIFAR's size are made likewise: MobileNetV2 has strides of 1 there for the first two.
    """
    if side >= 96:
        return
    small = side <= 40
    if small:
        fitting.choose("network.stem_stride", 1, f"{side} pixels are few to halve five times")
    strides = [1, 2, 2, 1, 2] if side > 24 else [1, 2, 1, 1, 2]
    fitting.choose("network.strides", strides, f"of the units, for {side} pixels")


def _fit_width(fitting: Fitting, side: int) -> None:
    limits = {
        name: float(fitting.given[f"constraint.{name}"])
        for name in ("flops", "params")
        if fitting.given.get(f"constraint.{name}") is not None
    }
    if not limits:
        few = scale_of(fitting.facts.images).side < 128
        reason = "no limit is given, so by the number of images"
        fitting.choose("network.width", 0.5 if few else 1.0, reason)
        return
    shape = ImageShape(fitting.facts.channels, side, fitting.facts.classes)
    for width in WIDTHS:
        least, most = _range(_space(fitting, side, width), shape, tuple(limits))
        if all(least[name] <= ROOM * limit for name, limit in limits.items()):
            break
    texts = [f"{_short(least[name])} to {_short(most[name])} {name}" for name in limits]
    reason = f"networks then have {' and '.join(texts)}"
    if all(most[name] <= limit for name, limit in limits.items()):
        reason += ", all within the limit: more pixels would use it (data.image_size)"
    fitting.choose("network.width", width, reason)


def _space(fitting: Fitting, side: int, width: float) -> MobileSpace:
    names = ("depths", "kernels", "expansions", "units", "strides", "stem_stride", "head")
    settings = MobileSettings(width=width)
    given = {name: fitting.value(f"network.{name}") for name in names}
    known = {name: value for name, value in given.items() if value is not None}
    return make_space(replace(settings, **known), side)


def _range(
    space: MobileSpace, shape: ImageShape, names: tuple[str, ...]
) -> tuple[dict[str, float], dict[str, float]]:
    """The least and the most of each cost that a network of the space has."""
    table, root = cost_table(space, shape), Region.root(space)
    return (
        {name: -_most(table, root, name, -1) for name in names},
        {name: _most(table, root, name, 1) for name in names},
    )


def _most(table: CostTable, root: Region, name: str, sign: int) -> float:
    def value(architecture: Architecture) -> float:
        return sign * table.costs(architecture)[f"connected_{name}"]

    return float(value(extreme(root, value)))


def _short(count: float) -> str:
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if count >= factor:
            return f"{count / factor:.3g}{letter}"
    return f"{count:.0f}"
