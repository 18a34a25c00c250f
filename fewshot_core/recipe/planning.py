"""What a search does with a budget: the rule behind ``budget=PASSES``.

A pure function of the budget and of whether there is a limit on cost, so that every process of a
launch and every start of a run come to the same. What it chooses stands above a recipe and below
the words of a command.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewshot_core.plugins import plugin_of, plugins
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.yamltext import write_value

NETWORKS, RUNGS = 25, 2
"""Networks of the first rung, and rungs: those that were measured."""

MEASURED = (
    "whole searches on NAS-Bench-201 with 0.3 million training images (docs/results/deployed.md)"
)
"""What the rule rests on."""

ONE_SHOT = "one-shot"
"""What `retrain.compare` calls the choice of a supernet."""


@dataclass(frozen=True)
class Plan:
    """What a budget is spent on.

    Attributes:
        settings: Settings and their values, as a recipe file has them.
        sentence: What was chosen and why.
    """

    settings: Mapping[str, Any]
    sentence: str


def plan_search(budget: float, limited: bool) -> Plan:
    """Choose how a budget is spent.

    Args:
        budget: Passes over the training images that everything a search trains may take.
        limited: Whether there is a limit on cost.
    """
    free = {"split.by": "none", "evaluator.name": "counting", "audit.networks": 0}
    passes = f"budget of {budget:g} {'pass' if budget == 1 else 'passes'}"
    if not limited:
        return Plan(
            {**free, "ladder.networks": 0},
            f"{passes}: nothing is trained and the largest network is handed over. Without a "
            f"limit it was better than what any search handed over in {MEASURED}; give flops=, "
            "params= or latency=",
        )
    return Plan(
        {
            **free,
            "strategy.name": "random",
            "search.trials": NETWORKS,
            "ladder.networks": NETWORKS,
            "ladder.rungs": RUNGS,
            "ladder.epochs": budget,
        },
        f"{passes}: {NETWORKS} random networks within the limit are trained from scratch, and the "
        f"best of them again for longer; no supernet is trained. Of the ways that were measured "
        f"this had the least regret in {MEASURED}",
    )


def plan_of(recipe: Any) -> Plan | None:
    """The plan of a recipe, checked or not; None where it has no budget that can be planned for."""
    budget, strategy = recipe.search.budget, recipe.strategy.name
    known = strategy in plugins("strategy")
    if (
        not budget
        or budget < 0
        or (known and plugin_of("strategy", recipe.strategy).differentiable)
    ):
        return None
    limits = (recipe.constraint.flops, recipe.constraint.params, recipe.constraint.latency)
    plan = plan_search(budget, any(limit is not None for limit in limits))
    if ONE_SHOT not in recipe.retrain.compare:
        return plan
    # It is the weights of a supernet, which is not trained.
    others = [name for name in recipe.retrain.compare if name != ONE_SHOT]
    return dataclasses.replace(plan, settings={**plan.settings, "retrain.compare": others})


def tell_plan(recipe: Recipe) -> str | None:
    """The sentence of the plan of a recipe, and which of its settings were given otherwise."""
    plan = plan_of(recipe)
    if plan is None:
        return None
    values = flatten(dataclasses.asdict(recipe))
    other = [key for key, value in plan.settings.items() if values[key] != value]
    if not other:
        return plan.sentence
    given = " ".join(f"{key}={write_value(values[key])}" for key in other)
    return f"{plan.sentence}; but you gave {given}"
