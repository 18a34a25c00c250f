"""What the types of the settings cannot say: ranges, choices and combinations."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from fewshot_core.errors import nearest
from fewshot_core.metrics import ACCURACY, LOSS
from fewshot_core.recipe.schema import (
    AuditSettings,
    ConstraintSettings,
    DataSettings,
    EvaluatorSettings,
    Recipe,
    SplitLevel,
    StrategySettings,
    SupernetSettings,
    TrainingSettings,
)
from fewshot_core.recipe.words import path_problem, with_hint
from fewshot_core.runs.precision import AUTO, USED
from fewshot_core.spaces.splitters import LEARNED

POLICIES = ("uniform", "fair", "balanced", "sandwich", "cost")
SPLITS = ("none", "decision", "groups", "bands", "random", "gradients")
PROXIES = ("synflow", "naswot")
INHERITING = ("inherited", "predictor")
"""Evaluators that need trained supernets."""
MEASURING = (*INHERITING, "standalone")
"""Evaluators whose scores are measured on validation images."""
BUDGETED = ("inherited", "standalone")
"""Evaluators that can spend a part of the budget on an architecture."""
EVALUATORS = (*MEASURING, "table", *PROXIES)
WHEN = ("auto", "always", "never")
SEARCHING = {
    "random": "uniform random search, the baseline",
    "rea": "regularized evolution (Real et al., AAAI 2019)",
    "reinforce": "policy gradient, a softmax for each decision (Zoph and Le, ICLR 2017)",
    "multilevel": "level by level, recurrent controllers and a beam (Gong et al., ICCV 2019)",
    "hyperband": "many architectures on little budget, the best on more (Li et al., JMLR 2018)",
    "bohb": "hyperband with a model of good architectures (Falkner et al., ICML 2018)",
    "smac": "random forest and expected improvement (Lindauer et al., JMLR 2022); needs smac",
    "tpe": "tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011)",
    "nsga2": "score against FLOPs, a Pareto front (Deb et al., 2002)",
}
"""Strategies that ask for scores, and what they are."""
DIFFERENTIABLE = {
    "darts": "mixtures, first or second order (Liu et al., ICLR 2019)",
    "pcdarts": "mixtures of partial channels, edge normalisation (Xu et al., ICLR 2020)",
    "enas": "a controller learns with the weights, by REINFORCE (Pham et al., ICML 2018)",
    "setn": "random paths for the weights, a mixture for the choice (Dong and Yang, ICCV 2019)",
}
"""Strategies that learn preferences together with the supernet, and what they are."""
STRATEGIES = SEARCHING | DIFFERENTIABLE
"""All names for `strategy=`."""
RENAMED = {"evolution": "rea"}
"""Names of strategies in recipes of earlier versions."""
PRECISIONS = (*USED, AUTO)
PROCESSES = ("data", "regions")
SOURCES = ("digits", "images", "wds", "hfds", "torch/NAME")
KEYED = ("wds", "hfds")
ROOTED = ("images", *KEYED)
"""Sources that are a folder or file of the user's."""
COMPARED = ("random", "largest", "one-shot")
SCHEDULES = ("cosine", "step")

# Splits whose regions are not simply a set of options per decision.
_NOT_PRODUCTS = ("bands", "random")

Problems = Iterator[str]


def check(recipe: Recipe, scores: Sequence[str] = (ACCURACY.name, LOSS.name)) -> list[str]:
    """Everything that is wrong with the values of a recipe, one line each; empty when it is fine.

    The sections of ``TASK_SECTIONS`` are the task's own affair. ``scores`` are what it measures.
    """
    return [
        *_check_run(recipe),
        *_check_data(recipe.data),
        *_check_training("supernet", recipe.supernet),
        *_check_paths("supernet", recipe.supernet),
        *_check_splits(recipe),
        *_check_training("regions", recipe.regions),
        *_check_paths("regions", recipe.regions),
        *_check_evaluator(recipe.evaluator, scores),
        *_check_strategy(recipe.strategy),
        *_check_preferences(recipe),
        *_check_constraint(recipe.constraint),
        *_check_audit(recipe.audit, recipe.evaluator),
        *_check_training("retrain", recipe.retrain),
        *_check_retrain(recipe),
    ]


def _check_run(recipe: Recipe) -> Problems:
    yield from _at_least("seed", recipe.seed, 0)
    if recipe.precision is not None:
        yield from _one_of("precision", recipe.precision, PRECISIONS)
    yield from _at_least("threads", recipe.threads, 1)
    yield from _at_least("checkpoint_steps", recipe.checkpoint_steps, 1)
    yield from _one_of("processes", recipe.processes, PROCESSES)
    yield from _at_least("grace_seconds", recipe.grace_seconds, 0)
    yield from _at_least("search.trials", recipe.search.trials, 1)
    yield from _at_least("search.silence", recipe.search.silence, 1)


def _check_data(data: DataSettings) -> Problems:
    name = data.source.removeprefix("torch/")
    if name == data.source or not name:
        yield from _one_of("data.source", data.source, SOURCES)
    if data.source in ROOTED and data.root is None:
        what = "names of shards" if data.source == "wds" else "tar file of the images"
        what = "name on the Hub" if data.source == "hfds" else what
        yield f"data.source={data.source} needs data.root, the folder or {what}"
    for key in ("root", "test_root"):
        yield from _path(f"data.{key}", getattr(data, key))
    yield from _share("data.validation", data.validation)
    yield from _share("data.test", data.test)
    for key in ("image_size", "search_size", "limit"):
        yield from _at_least(f"data.{key}", getattr(data, key), 1)
    for key in ("pad", "cutout", "workers", "jitter"):
        yield from _at_least(f"data.{key}", getattr(data, key), 0)
    if not 0 < data.scale <= 1:
        yield f"data.scale={data.scale} must be above 0 and at most 1"


def _check_training(key: str, training: TrainingSettings) -> Problems:
    yield from _positive(f"{key}.epochs", training.epochs)
    yield from _at_least(f"{key}.batch_size", training.batch_size, 1)
    yield from _at_least(f"{key}.micro_batch", training.micro_batch, 2)
    yield from _positive(f"{key}.lr", training.lr)
    yield from _positive(f"{key}.grad_clip", training.grad_clip)
    yield from _positive(f"{key}.eps", training.eps)
    for name in ("min_lr", "warmup_epochs", "weight_decay"):
        yield from _at_least(f"{key}.{name}", getattr(training, name), 0)
    for name in ("momentum", "label_smoothing"):
        if not 0 <= getattr(training, name) < 1:
            yield f"{key}.{name}={getattr(training, name)} must be at least 0 and below 1"
    if training.min_lr > training.lr:
        yield f"{key}.min_lr={training.min_lr} must not be above {key}.lr={training.lr}"
    if training.warmup_epochs > training.epochs:
        yield (
            f"{key}.warmup_epochs={training.warmup_epochs} must not be above "
            f"{key}.epochs={training.epochs}"
        )


def _check_paths(section: str, training: SupernetSettings) -> Problems:
    key, paths = f"{section}.paths", training.paths
    yield from _one_of(f"{key}.policy", paths.policy, POLICIES)
    if paths.policy == "balanced" and not paths.feature:
        yield f"{key}.policy=balanced needs {key}.feature"
    yield from _at_least(f"{key}.count", paths.count, 2)
    for name in ("low", "high"):
        yield from _positive(f"{key}.{name}", getattr(paths, name))
    if paths.low is not None and paths.high is not None and paths.low > paths.high:
        yield f"{key}.low={paths.low} must not be above {key}.high={paths.high}"
    yield from _at_least(f"{key}.together", paths.together, 1)
    if paths.together < 2:
        return
    if training.batch_size % paths.together:
        yield (
            f"{section}.batch_size={training.batch_size} must be a multiple of "
            f"{key}.together={paths.together}: each architecture gets a part of the batch"
        )
    if paths.policy == "sandwich":
        yield (
            f"{key}.together={paths.together} does not go with {key}.policy=sandwich, whose "
            "architectures all see the whole batch; use paths.count"
        )
    if training.micro_batch is not None:
        yield (
            f"{section}.micro_batch does not go with {key}.together={paths.together}, which takes "
            f"{training.batch_size // paths.together} images at a time"
        )


def _check_splits(recipe: Recipe) -> Problems:
    yield from _one_of("split.when", recipe.split.when, WHEN)
    levels: list[tuple[str, SplitLevel]] = [("split", recipe.split)]
    levels += [(f"split.then[{index}]", level) for index, level in enumerate(recipe.split.then)]
    for key, level in levels:
        yield from _check_level(key, level)
        if level is not recipe.split and level.by in LEARNED:
            yield f"{key}.by={level.by} can only be the first cut, split.by"
        if recipe.regions.paths.policy == "fair" and level.by in _NOT_PRODUCTS:
            yield (
                f"regions.paths.policy=fair does not go with {key}.by={level.by}: fair paths need "
                "regions that allow every combination of their options; use uniform or balanced"
            )


def _check_level(key: str, level: SplitLevel) -> Problems:
    yield from _one_of(f"{key}.by", level.by, SPLITS)
    checks: dict[str, Callable[[str, SplitLevel], Problems]] = {
        "decision": _check_decision,
        "groups": _check_groups,
        "bands": _check_bands,
        "random": _check_random,
        "gradients": _check_gradients,
    }
    if level.by in checks:
        yield from checks[level.by](key, level)


def _check_decision(key: str, level: SplitLevel) -> Problems:
    if not level.decision:
        yield f"{key}.by={level.by} needs {key}.decision"


def _check_groups(key: str, level: SplitLevel) -> Problems:
    yield from _check_decision(key, level)
    if len(level.groups) < 2 or not all(level.groups):
        yield f"{key}.by=groups needs {key}.groups, at least two lists of options: [[a, b], [c]]"
    # Options may be of any type, also one that has no hash.
    options = [option for group in level.groups for option in group]
    twice = [option for index, option in enumerate(options) if option in options[:index]]
    if twice:
        yield f"{key}.groups has an option twice: {twice[0]}"


def _check_bands(key: str, level: SplitLevel) -> Problems:
    if not level.feature:
        yield f"{key}.by=bands needs {key}.feature"
    if not level.cuts:
        yield f"{key}.by=bands needs {key}.cuts, the start of each new band: [3, 5]"
    # The negation also refuses values that are not numbers.
    pairs = zip(level.cuts, level.cuts[1:], strict=False)
    if not all(low < high for low, high in pairs) or not all(map(math.isfinite, level.cuts)):
        yield f"{key}.cuts={level.cuts} must increase from each to the next"


def _check_random(key: str, level: SplitLevel) -> Problems:
    yield from _at_least(f"{key}.count", level.count, 2)


def _check_gradients(key: str, level: SplitLevel) -> Problems:
    yield from _at_least(f"{key}.count", level.count, 2)
    yield from _at_least(f"{key}.samples", level.samples, 1)


def _check_evaluator(evaluator: EvaluatorSettings, scores: Sequence[str]) -> Problems:
    yield from _one_of("evaluator.name", evaluator.name, EVALUATORS)
    if evaluator.name in MEASURING:
        yield from _one_of("evaluator.score", evaluator.score, scores)
    if evaluator.name == "table" and not evaluator.table:
        yield "evaluator.name=table needs evaluator.table, a CSV file"
    yield from _path("evaluator.table", evaluator.table)
    yield from _at_least("evaluator.recalibrate", evaluator.recalibrate, 0)
    yield from _at_least("evaluator.images", evaluator.images, 1)
    # NASWOT compares the images of a batch.
    least = 2 if evaluator.name == "naswot" else 1
    yield from _at_least("evaluator.batch_size", evaluator.batch_size, least)
    yield from _positive("evaluator.epochs", evaluator.epochs)
    yield from _at_least("evaluator.samples", evaluator.samples, 20)


def _check_strategy(strategy: StrategySettings) -> Problems:
    yield from _one_of("strategy.name", strategy.name, STRATEGIES)
    yield from _at_least("strategy.population", strategy.population, 1)
    yield from _at_least("strategy.sample", strategy.sample, 1)
    if strategy.name == "rea" and strategy.sample > strategy.population:
        yield (
            f"strategy.sample={strategy.sample} must not be above "
            f"strategy.population={strategy.population}"
        )
    if strategy.name == "nsga2":
        yield from _at_least("strategy.population", strategy.population, 2)
    yield from _positive("strategy.lr", strategy.lr)
    if not 0 <= strategy.decay < 1:
        yield f"strategy.decay={strategy.decay} must be at least 0 and below 1"
    for name in ("hidden", "level_trials", "candidates", "beam"):
        yield from _at_least(f"strategy.{name}", getattr(strategy, name), 1)
    yield from _at_least("strategy.entropy", strategy.entropy, 0)
    yield from _at_least("strategy.eta", strategy.eta, 2)
    if not 0 < strategy.least <= 1:
        yield f"strategy.least={strategy.least} must be above 0 and at most 1"
    if not 0 <= strategy.random_share <= 1:
        yield f"strategy.random_share={strategy.random_share} must be between 0 and 1"


def _check_preferences(recipe: Recipe) -> Problems:
    settings = recipe.preferences
    yield from _share("preferences.share", settings.share)
    yield from _positive("preferences.lr", settings.lr)
    for name in ("weight_decay", "entropy"):
        yield from _at_least(f"preferences.{name}", getattr(settings, name), 0)
    for name in ("partial", "hidden", "samples"):
        yield from _at_least(f"preferences.{name}", getattr(settings, name), 1)
    if settings.order not in (1, 2):
        yield f"preferences.order={settings.order} must be 1 or 2"
    for name in ("start", "decay"):
        if not 0 <= getattr(settings, name) < 1:
            yield f"preferences.{name}={getattr(settings, name)} must be at least 0 and below 1"
    strategy, evaluator = recipe.strategy.name, recipe.evaluator.name
    if strategy in DIFFERENTIABLE and evaluator != "inherited":
        yield f"strategy.name={strategy} needs evaluator.name=inherited, not {evaluator}"
    for key, training in (("supernet", recipe.supernet), ("regions", recipe.regions)):
        if strategy in DIFFERENTIABLE and training.micro_batch is not None:
            yield f"{key}.micro_batch does not go with strategy.name={strategy}"


def _check_constraint(constraint: ConstraintSettings) -> Problems:
    yield from _positive("constraint.flops", constraint.flops)
    yield from _positive("constraint.params", constraint.params)
    yield from _positive("constraint.latency", constraint.latency)


def _check_audit(audit: AuditSettings, evaluator: EvaluatorSettings) -> Problems:
    if audit.networks < 0 or audit.networks in (1, 2):
        yield f"audit.networks={audit.networks} must be 0 (no audit) or at least 3"
    yield from _positive("audit.epochs", audit.epochs)
    yield from _at_least("audit.candidates", audit.candidates, 0)
    if audit.networks and evaluator.name == "standalone" and audit.epochs <= evaluator.epochs:
        # The same training again has the same result, and would find the scores perfect.
        yield (
            f"audit.epochs={audit.epochs:g} must be above evaluator.epochs={evaluator.epochs:g}: "
            "with evaluator=standalone the audit compares short trainings with longer ones"
        )


def _check_retrain(recipe: Recipe) -> Problems:
    retrain = recipe.retrain
    yield from _at_least("retrain.seeds", retrain.seeds, 1)
    yield from _one_of("retrain.schedule", retrain.schedule, SCHEDULES)
    for name in ("mixup", "cutmix", "teacher_weight"):
        yield from _at_least(f"retrain.{name}", getattr(retrain, name), 0)
    if not 0 <= retrain.erase <= 1:
        yield f"retrain.erase={retrain.erase} must be between 0 and 1"
    if retrain.ema is not None and not 0 < retrain.ema < 1:
        yield f"retrain.ema={retrain.ema} must be between 0 and 1"
    if not 0 < retrain.decay_rate <= 1:
        yield f"retrain.decay_rate={retrain.decay_rate} must be above 0 and at most 1"
    yield from _positive("retrain.decay_epochs", retrain.decay_epochs)
    if (retrain.mixup or retrain.cutmix) and retrain.batch_size % 2:
        yield f"retrain.batch_size={retrain.batch_size} must be even for mixup and cutmix"
    for name in retrain.compare:
        yield from _one_of("retrain.compare", name, COMPARED)
    inherits = recipe.evaluator.name == "inherited" and recipe.regions.inherit
    if "one-shot" in retrain.compare and not inherits:
        yield (
            "retrain.compare has one-shot, which needs evaluator=inherited and regions.inherit=true"
        )


def _one_of(key: str, value: str, choices: Collection[str]) -> Problems:
    if value not in choices:
        text = f"{key}={value} is none of {', '.join(choices)}"
        yield with_hint(text, nearest(value, choices))


def _positive(key: str, value: float | None) -> Problems:
    if value is not None and not (value > 0 and math.isfinite(value)):
        yield f"{key}={value} must be above 0"


def _at_least(key: str, value: float | None, low: int) -> Problems:
    if value is not None and not (value >= low and math.isfinite(value)):
        yield f"{key}={value} must be at least {low}"


def _share(key: str, value: float) -> Problems:
    if not 0 < value < 1:
        yield f"{key}={value} must be a share between 0 and 1"


def _path(key: str, value: Any) -> Problems:
    problem = None if value is None else path_problem(key, value)
    if problem is not None:
        yield problem
