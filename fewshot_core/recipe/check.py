"""What the settings of one section cannot say: combinations across sections.

Ranges and choices stand beside the settings (:func:`fewshot_core.recipe.declare.setting`), and what
a section or plug-in knows of its own values is its method ``check``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fewshot_core.metrics import ACCURACY, LOSS
from fewshot_core.plugins import find_plugin, names_with, plugin_of
from fewshot_core.recipe.declare import check_choice, check_values
from fewshot_core.recipe.loose import check_choices
from fewshot_core.recipe.schema import MeasuringSettings, Recipe, SplitLevel

Problems = Iterator[str]


def check(recipe: Recipe, scores: Sequence[str] = (ACCURACY.name, LOSS.name)) -> list[str]:
    """Everything that is wrong with the values of a recipe, one line each; empty when it is fine.

    Args:
        recipe: The recipe.
        scores: The metrics of its task that ``evaluator.score`` may name.
    """
    found = [*check_choices(recipe), *check_values(recipe)]
    if isinstance(recipe.evaluator, MeasuringSettings):
        found += check_choice("evaluator.score", recipe.evaluator.score, scores)
    proxy = vars(recipe.evaluator).get("proxy")
    if proxy is not None and not getattr(find_plugin("evaluator", proxy), "untrained", False):
        found += check_choice("evaluator.proxy", proxy, names_with("evaluator", "untrained"))
    if not any(check_choices(recipe)):  # else there is nothing to combine
        found += [
            *_check_splits(recipe),
            *_check_paths(recipe),
            *_check_strategy(recipe),
            *_check_audit(recipe),
            *_check_retrain(recipe),
        ]
    return found


def _check_splits(recipe: Recipe) -> Problems:
    levels: list[tuple[str, SplitLevel]] = [("split", recipe.split)]
    levels += [(f"split.then[{index}]", level) for index, level in enumerate(recipe.split.then)]
    paths = plugin_of("paths", recipe.regions.paths)
    for key, level in levels:
        splitter = plugin_of("splitter", level)
        if level is not recipe.split and splitter.learned:
            yield f"{key}.by={level.by} can only be the first cut, split.by"
        if paths.needs_products and not splitter.products:
            yield (
                f"regions.paths.policy={paths.name} does not go with {key}.by={level.by}: "
                f"{paths.name} paths need regions that allow every combination of their options; "
                "use uniform or balanced"
            )


def _check_paths(recipe: Recipe) -> Problems:
    for section in ("supernet", "regions"):
        paths = getattr(recipe, section).paths
        if paths.together > 1 and not plugin_of("paths", paths).spans:
            yield (
                f"{section}.paths.together={paths.together} does not go with "
                f"{section}.paths.policy={paths.policy}, whose architectures all see the whole "
                "batch; use paths.count"
            )


def _check_strategy(recipe: Recipe) -> Problems:
    strategy, evaluator = recipe.strategy.name, recipe.evaluator.name
    if not plugin_of("strategy", recipe.strategy).differentiable:
        return
    if recipe.search.budget is not None:
        yield (
            f"search.budget={recipe.search.budget:g} does not go with strategy.name={strategy}, "
            "which searches while it trains supernets; set supernet.epochs and regions.epochs"
        )
    if not plugin_of("evaluator", recipe.evaluator).direct:
        allowed = " or ".join(names_with("evaluator", "direct"))
        yield f"strategy.name={strategy} needs evaluator.name={allowed}, not {evaluator}"
    for section in ("supernet", "regions"):
        if getattr(recipe, section).micro_batch is not None:
            yield f"{section}.micro_batch does not go with strategy.name={strategy}"


def _check_audit(recipe: Recipe) -> Problems:
    audit, evaluator = recipe.audit, recipe.evaluator
    trains = plugin_of("evaluator", evaluator).trains
    if audit.networks and trains and audit.epochs <= (epochs := vars(evaluator)["epochs"]):
        # The same training again has the same result, and would find the scores perfect.
        yield (
            f"audit.epochs={audit.epochs:g} must be above evaluator.epochs={epochs:g}: "
            f"with evaluator={evaluator.name} the audit compares short trainings with longer ones"
        )


def _check_retrain(recipe: Recipe) -> Problems:
    direct = plugin_of("evaluator", recipe.evaluator).direct
    if "one-shot" in recipe.retrain.compare and not (direct and recipe.regions.inherit):
        allowed = " or ".join(names_with("evaluator", "direct"))
        yield (
            f"retrain.compare has one-shot, which needs evaluator={allowed} and "
            "regions.inherit=true"
        )
