"""The few-shot core: what all tasks of the suite share.

The names below are for programs of your own; each is imported when it is first used, so that
importing this package costs nothing. Everything else is found in the modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewshot_core.errors import FewshotError
    from fewshot_core.evaluators.base import Evaluator
    from fewshot_core.plugins import register
    from fewshot_core.recipe.declare import setting
    from fewshot_core.recipe.load import load_recipe
    from fewshot_core.recipe.schema import Recipe
    from fewshot_core.search.strategies.base import Strategy
    from fewshot_core.search.trial import Trial
    from fewshot_core.spaces.region import Partition, Region
    from fewshot_core.spaces.space import Architecture, Decision, SearchSpace
    from fewshot_core.supernet.base import Supernet
    from fewshot_core.task import TaskDefaults

__all__ = [
    "Architecture",
    "Decision",
    "Evaluator",
    "FewshotError",
    "Partition",
    "Recipe",
    "Region",
    "SearchSpace",
    "Strategy",
    "Supernet",
    "TaskDefaults",
    "Trial",
    "load_recipe",
    "register",
    "setting",
]

_HOMES = {
    "Architecture": "spaces.space",
    "Decision": "spaces.space",
    "Evaluator": "evaluators.base",
    "FewshotError": "errors",
    "Partition": "spaces.region",
    "Recipe": "recipe.schema",
    "Region": "spaces.region",
    "SearchSpace": "spaces.space",
    "Strategy": "search.strategies.base",
    "Supernet": "supernet.base",
    "TaskDefaults": "task",
    "Trial": "search.trial",
    "load_recipe": "recipe.load",
    "register": "plugins",
    "setting": "recipe.declare",
}


if not TYPE_CHECKING:  # a misspelt name is an error for a type checker, too

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
