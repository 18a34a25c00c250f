"""No cut."""

from __future__ import annotations

from dataclasses import dataclass

from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import SplitLevel
from fewshot_core.spaces.splitters.base import BY, SplitterContext


@dataclass(frozen=True)
class NoneLevel(SplitLevel):
    """There is nothing to set."""

    by: str = setting("none", BY)


@register(
    "splitter",
    "none",
    settings=NoneLevel,
    about="the region stays whole",
    products=True,
    cuts=False,
)
def make_none(level: NoneLevel, context: SplitterContext) -> None:
    """No splitter."""
    return None
