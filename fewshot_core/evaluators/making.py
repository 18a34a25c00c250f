"""The evaluator that a recipe names."""

from __future__ import annotations

from fewshot_core.evaluators.base import Evaluator, EvaluatorContext
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.schema import EvaluatorSettings


def make_evaluator(settings: EvaluatorSettings, context: EvaluatorContext) -> Evaluator:
    """The evaluator that the settings name.

    Raises:
        RecipeError: There is no such evaluator.
        FewshotError: What it needs of the run is not there.
    """
    evaluator: Evaluator = plugin_of("evaluator", settings).make(settings, context)
    return evaluator
