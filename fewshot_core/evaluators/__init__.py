"""Evaluators: they give architectures scores."""

from fewshot_core.evaluators.base import BudgetedEvaluator, Evaluator
from fewshot_core.evaluators.inherited import InheritedEvaluator
from fewshot_core.evaluators.proxy import ProxyEvaluator
from fewshot_core.evaluators.tabular import TabularEvaluator

__all__ = [
    "BudgetedEvaluator",
    "Evaluator",
    "InheritedEvaluator",
    "ProxyEvaluator",
    "TabularEvaluator",
]
