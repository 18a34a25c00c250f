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

TRIALS = 300
"""Architectures that are scored where scores can be joined."""

NETWORKS, RUNGS = 25, 2
"""Networks of the first rung, and rungs, where they cannot."""

MEASURED = (
    "in whole searches with 0.3 million training images this came closest to the best network on "
    "NAS-Bench-201, and as close as any other way on NAS-Bench-Macro (docs/results/deployed.md)"
)
"""What the rule rests on: the mean regret in true accuracy under three and five limits.

On NAS-Bench-201 a supernet alone, NASWOT alone, ladders of short trainings from scratch, the
largest network and a random one lost more; on NAS-Bench-Macro a supernet alone and the largest
network did on average, and NASWOT alone as much. The rule was chosen by these figures, so its own
are a little too good. Joined scores were best with 4 million images,
too (docs/results/ensemble.md)."""

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


def plan_search(budget: float, scored: bool, limited: str, warmup: float = 0.0) -> Plan:
    """Choose how a budget is spent.

    Args:
        budget: Passes over the training images that everything a search trains may take.
        scored: Whether networks can be scored without training, as those that tell classes can.
        limited: What networks are compared by in size, ``params`` or ``flops``: what is limited.
        warmup: Passes in which the recipe's learning rate rises; at most a tenth of them is kept.
    """
    settings: dict[str, Any] = {"split.by": "none", "audit.networks": 0}
    passes = f"budget of {budget:g} {'pass' if budget == 1 else 'passes'}"
    if not scored:
        settings |= {
            "evaluator.name": "counting",
            "strategy.name": "random",
            "search.trials": NETWORKS,
            "ladder.networks": NETWORKS,
            "ladder.rungs": RUNGS,
            "ladder.epochs": budget,
        }
        return Plan(
            settings,
            f"{passes}: {NETWORKS} random networks are trained from scratch, and the best of them "
            "again for longer; no supernet is trained; without scores that need no training; this "
            "was not compared with other ways",
        )
    settings |= {
        "evaluator.name": "ensemble",
        "evaluator.score": LOSS.name,
        "evaluator.size": limited,
        "strategy.name": "rea",
        "search.trials": TRIALS,
        "supernet.epochs": budget,
        "ladder.networks": 0,
    }
    if warmup > budget / 10:
        settings["supernet.warmup_epochs"] = budget / 10
    size = {"params": "parameters", "flops": "FLOPs"}[limited]
    return Plan(
        settings,
        f"{passes}: one supernet is trained, and {TRIALS} networks are scored by their mean rank "
        f"by its loss, by NASWOT and by {size}; nothing is trained from scratch; {MEASURED}",
    )


def plan_of(recipe: Any) -> Plan | None:
    """The plan of a recipe, checked or not; None where it has no budget that can be planned for."""
    budget, strategy = recipe.search.budget, recipe.strategy.name
    if not budget or budget < 0 or strategy not in plugins("strategy"):
        return None
    if plugin_of("strategy", recipe.strategy).differentiable:
        return None
    limits = recipe.constraint
    scored = LOSS.name in load_description(recipe.task).scores
    limited = "flops" if limits.params is None and limits.flops is not None else "params"
    plan = plan_search(budget, scored, limited, recipe.supernet.warmup_epochs)
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
    given = [key for key in plan.settings if key in values and key not in unread]
    other = [key for key in given if values[key] != plan.settings[key]]
    if not other:
        return plan.sentence
    words = " ".join(f"{key}={write_value(values[key])}" for key in other)
    return f"{plan.sentence}; but you gave {words}"
