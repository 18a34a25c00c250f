"""What a search does with a budget: the rule behind ``budget=PASSES``.

A pure function of the budget and of what a task can score, so that every process of a launch and
every start of a run come to the same. What it chooses stands above a recipe and below the words of
a command.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewshot_core.metrics import LOSS
from fewshot_core.plugins import plugin_of, plugins
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.readers import unread_keys
from fewshot_core.recipe.schema import Recipe
from fewshot_core.recipe.yamltext import write_value
from fewshot_core.tasks import load_description

SCORED, NETWORKS, RUNGS = 250, 25, 2
"""Architectures that are scored without training, networks of the first rung, and rungs."""

MEASURED = (
    "of the ways that whole searches on NAS-Bench-201 compared, at 0.3 million training images and "
    "three limits, this came closest to the best network on average (docs/results/deployed.md)"
)
"""What the rule rests on: the mean regret in true CIFAR-10 and CIFAR-100 accuracy.

One supernet of as many images, halving of random networks, a ladder from the largest, the largest
network alone and a random one lost more. Larger budgets were not compared."""

UNLIMITED = (
    "there is no limit on cost, and without one the largest network came closer still, which "
    "evaluator=counting ladder.networks=0 looks for"
)
"""What is said where there is nothing to keep a search from the largest network."""

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


def plan_search(budget: float, scored: bool, limited: bool) -> Plan:
    """Choose how a budget is spent.

    Args:
        budget: Passes over the training images that everything a search trains may take.
        scored: Whether networks can be scored without training, as those that tell classes can.
        limited: Whether there is a limit on cost. Without one the plan is the same, and the
            sentence names what was better.
    """
    settings = {
        "split.by": "none",
        "evaluator.name": "naswot" if scored else "counting",
        "strategy.name": "random",
        "search.trials": SCORED if scored else NETWORKS,
        "ladder.networks": NETWORKS,
        "ladder.rungs": RUNGS,
        "ladder.epochs": budget,
        "audit.networks": 0,
    }
    passes = f"budget of {budget:g} {'pass' if budget == 1 else 'passes'}"
    if scored:
        chosen = f"the {NETWORKS} of {SCORED} random networks with the best NASWOT scores"
        why = MEASURED if limited else f"{MEASURED}; {UNLIMITED}"
    else:
        chosen = f"{NETWORKS} random networks"
        why = "without scores that need no training; this was not compared with other ways"
    return Plan(
        settings,
        f"{passes}: {chosen} are trained from scratch, and the best of them again for longer; no "
        f"supernet is trained; {why}",
    )


def plan_of(recipe: Any) -> Plan | None:
    """The plan of a recipe, checked or not; None where it has no budget that can be planned for."""
    budget, strategy = recipe.search.budget, recipe.strategy.name
    if not budget or budget < 0 or strategy not in plugins("strategy"):
        return None
    if plugin_of("strategy", recipe.strategy).differentiable:
        return None
    limits = (recipe.constraint.flops, recipe.constraint.params, recipe.constraint.latency)
    scored = LOSS.name in load_description(recipe.task).scores
    plan = plan_search(budget, scored, limited=any(limit is not None for limit in limits))
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
    values, unread = flatten(dataclasses.asdict(recipe)), unread_keys(recipe)
    given = [key for key in plan.settings if key not in unread]
    other = [key for key in given if values[key] != plan.settings[key]]
    if not other:
        return plan.sentence
    words = " ".join(f"{key}={write_value(values[key])}" for key in other)
    return f"{plan.sentence}; but you gave {words}"
