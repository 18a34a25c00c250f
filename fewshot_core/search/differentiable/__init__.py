"""Strategies that learn preferences together with a supernet's weights, each in its own file."""

from __future__ import annotations

from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.schema import Recipe
from fewshot_core.search.differentiable.base import Method, StepContext

__all__ = ["Method", "StepContext", "find_method", "make_method"]


def find_method(recipe: Recipe) -> Method | None:
    """The differentiable strategy of a recipe; None where its strategy asks for scores."""
    differentiable = plugin_of("strategy", recipe.strategy).differentiable
    return make_method(recipe) if differentiable else None


def make_method(recipe: Recipe) -> Method:
    """The differentiable strategy of a recipe, which has one."""
    method: Method = plugin_of("strategy", recipe.strategy).make(
        recipe.strategy, recipe.preferences
    )
    return method
