"""Bands along a feature."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import SplitLevel
from fewshot_core.spaces.region import ENUMERABLE, Partition, Region
from fewshot_core.spaces.splitters.base import BY, SplitterContext


@dataclass(frozen=True)
class BandsLevel(SplitLevel):
    """The feature, and where it is cut."""

    by: str = setting("bands", BY)
    feature: str | None = setting(None, "the feature that is cut")
    cuts: list[float] = setting([], "each is the start of a new band")

    def check(self, key: str) -> Iterator[str]:
        """A line for each thing that is missing, and for cuts that do not rise."""
        if not self.feature:
            yield f"{key}.by={self.by} needs {key}.feature"
        if not self.cuts:
            yield f"{key}.by={self.by} needs {key}.cuts, the start of each new band: [3, 5]"
        # The negation also refuses values that are not numbers.
        rising = all(low < high for low, high in itertools.pairwise(self.cuts))
        if not rising or not all(map(math.isfinite, self.cuts)):
            yield f"{key}.cuts={self.cuts} must increase from each to the next"


@register("splitter", "bands", settings=BandsLevel, about="bands along a scalar feature")
def make_bands(level: BandsLevel, context: SplitterContext) -> ByBands:
    """A cut into bands."""
    return ByBands(str(level.feature), tuple(level.cuts))


@dataclass(frozen=True)
class ByBands:
    """Cut along a scalar feature: each of the ``cuts`` is the start of a new band."""

    feature: str
    cuts: tuple[float, ...]

    def __call__(self, region: Region) -> Partition:
        ends = [-math.inf, *self.cuts, math.inf]
        bands = [region.band(self.feature, low, high) for low, high in itertools.pairwise(ends)]
        # A cut outside a band that an earlier level made leaves nothing on one side.
        bands = [part for part in bands if all(band.low < band.high for band in part.bands)]
        if region.box_size() <= ENUMERABLE:
            bands = [band for band in bands if band.size()]
        return Partition(region, tuple(bands))
