"""Evaluators: they give architectures scores. Each is a plug-in in its own file."""

from fewshot_core.evaluators.base import (
    BudgetedEvaluator,
    Evaluator,
    EvaluatorContext,
    RequiringEvaluator,
)
from fewshot_core.evaluators.inherited import InheritedEvaluator
from fewshot_core.evaluators.making import make_evaluator
from fewshot_core.evaluators.proxy import ProxyEvaluator
from fewshot_core.evaluators.table import TabularEvaluator
from fewshot_core.evaluators.words import Told, Words

__all__ = [
    "BudgetedEvaluator",
    "Evaluator",
    "EvaluatorContext",
    "InheritedEvaluator",
    "ProxyEvaluator",
    "RequiringEvaluator",
    "TabularEvaluator",
    "Told",
    "Words",
    "make_evaluator",
]
