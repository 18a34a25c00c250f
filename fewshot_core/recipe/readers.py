"""Who reads a setting: what each choice of source, split, evaluator and strategy leaves unread.

Every line was checked against the code that reads the setting; where that depends on more than the
recipe, such as on what a folder of images holds, nothing is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from fewshot_core.recipe.check import (
    BUDGETED,
    DIFFERENTIABLE,
    EVALUATORS,
    INHERITING,
    KEYED,
    MEASURING,
    POLICIES,
    PROXIES,
    ROOTED,
    SCHEDULES,
    SEARCHING,
    SPLITS,
    STRATEGIES,
)
from fewshot_core.recipe.declare import fields_below
from fewshot_core.recipe.schema import Recipe, SplitLevel
from fewshot_core.recipe.unread import Unread, Unreads, by_choice, of_supernets, readers_of
from fewshot_core.spaces.splitters import LEARNED


def unread_settings(recipe: Recipe, task: Any = None) -> list[Unread]:
    """Everything that a run of this recipe would not read.

    Args:
        recipe: Whose choices may be of any kind; of one that does not exist nothing is said.
        task: Its task, which knows of more; None: not yet imported.
    """
    found = [
        *_data(recipe),
        *_supernets(recipe),
        *_evaluator(recipe),
        *_strategy(recipe),
        *_preferences(recipe),
        *_search(recipe),
        *_audit(recipe),
        *_retrain(recipe),
    ]
    return found if task is None else [*found, *task.find_unread(recipe)]


def _data(recipe: Recipe) -> Unreads:
    data = recipe.data
    source, chosen = data.source, (f"data.source={data.source}", ("data.source",))
    downloaded = source.startswith("torch/")
    if not downloaded and source not in ("digits", *ROOTED):
        return
    rooted = source in ROOTED
    if not rooted:
        if not downloaded:
            yield Unread("data.root", *chosen, readers_of("data.source", (*ROOTED, "torch/NAME")))
        yield Unread("data.test_root", *chosen, readers_of("data.source", ROOTED))
    if source not in KEYED:
        for key in ("data.image_key", "data.label_key"):
            yield Unread(key, *chosen, f"{key} is only for data.source={' or '.join(KEYED)}")
    elif not data.labelled:
        reader = "data.labelled=true reads it"
        yield Unread("data.label_key", "data.labelled=false", ("data.labelled",), reader)
    if not downloaded and source != "hfds":
        readers = readers_of("data.source", ("hfds", "torch/NAME"))
        yield Unread("data.download", *chosen, readers)
    if downloaded:
        reader = "sources without test images of their own read it, such as data.source=digits"
        yield Unread("data.test", *chosen, reader)
    elif rooted and data.test_root:
        reader = "without data.test_root test images are held out"
        yield Unread("data.test", "data.test_root", ("data.test_root",), reader)
    for one in of_supernets("data.search_size", recipe):
        yield one
        if recipe.retrain.augment is not None:  # which takes its place where there is no supernet
            because = f"retrain.augment={recipe.retrain.augment} and {one.because}"
            deciders = ("retrain.augment", *one.deciders)
            yield Unread("data.jitter", because, deciders, "retrain.augment=none leaves it")


def _supernets(recipe: Recipe) -> Unreads:
    if recipe.evaluator.name not in INHERITING:
        for section in ("supernet", "split", "regions"):
            yield from of_supernets(section, recipe)
        return
    levels = [recipe.split, *recipe.split.then]
    split, inherit = recipe.split, recipe.regions.inherit
    if all(level.by == "none" for level in levels):
        reader, deciders = "a split reads it, see split.by", ("split.by", "split.then")
        yield Unread("regions", "split.by=none", deciders, reader)
        yield Unread("split.when", "split.by=none", deciders, reader)
    elif split.when == "never":
        # Epochs and inheritance decide what the one supernet gets.
        kept = ("regions.epochs", "regions.inherit")
        for key, _, _ in fields_below(recipe.regions, "regions."):
            if key not in kept:
                meant = key.replace("regions.", "supernet.")
                reader = f"split.when=auto or always reads it; did you mean {meant}?"
                yield Unread(key, "split.when=never", ("split.when",), reader)
        reader = "split.when=auto or always reads it"
        yield Unread("split.samples", "split.when=never", ("split.when",), reader)
    elif split.when == "always" and not inherit and all(x.by not in LEARNED for x in levels):
        because = "regions.inherit=false and split.when=always: no parent is trained"
        choices = ("regions.inherit", "split.when", "split.by", "split.then")
        for key, _, _ in fields_below(recipe.supernet, "supernet."):
            meant = key.replace("supernet.", "regions.")
            reader = f"regions.inherit=true reads it; did you mean {meant}?"
            yield Unread(key, because, choices, reader)
    for key in ("supernet.paths", "regions.paths"):
        yield from _paths(key, recipe)
    yield from _level("split", recipe.split, "split.by")
    for index, level in enumerate(recipe.split.then):
        yield from _level(f"split.then[{index}]", level, "split.then")


_POLICIES = {
    "feature": ("balanced",),
    "count": ("sandwich",),
    "distill": ("sandwich",),
    "low": ("cost",),
    "high": ("cost",),
}


def _paths(key: str, recipe: Recipe) -> Unreads:
    strategy = recipe.strategy.name
    if strategy in DIFFERENTIABLE:
        reader = f"strategies that ask for scores read it; {strategy} has paths of its own"
        yield Unread(key, f"strategy.name={strategy}", ("strategy.name",), reader)
        return
    policy = getattr(recipe, key.partition(".")[0]).paths.policy
    if policy in POLICIES:
        yield from by_choice(key, "policy", policy, _POLICIES)


_SPLITS = {
    "decision": ("decision", "groups"),
    "groups": ("groups",),
    "feature": ("bands",),
    "cuts": ("bands",),
    "count": ("random", "gradients"),
    "samples": ("gradients",),
}


def _level(key: str, level: SplitLevel, decider: str) -> Unreads:
    if level.by in SPLITS:
        for one in by_choice(key, "by", level.by, _SPLITS):
            yield dataclasses.replace(one, deciders=(decider,))


_EVALUATORS: dict[str, Collection[str]] = {
    "score": MEASURING,
    "recalibrate": INHERITING,
    "images": MEASURING,
    "share_equal": (*INHERITING, *PROXIES),
    "samples": ("predictor",),
    "epochs": ("standalone",),
    "table": ("table",),
    "column": ("table",),
}


def _evaluator(recipe: Recipe) -> Unreads:
    name = recipe.evaluator.name
    if name in EVALUATORS:
        meant = {"epochs": "supernet.epochs"} if name in INHERITING else {}
        yield from by_choice("evaluator", "name", name, _EVALUATORS, meant)


_STRATEGIES = {
    "population": ("rea", "nsga2"),
    "sample": ("rea",),
    "lr": ("reinforce", "multilevel"),
    "decay": ("reinforce",),
    "eta": ("hyperband", "bohb"),
    "least": ("hyperband", "bohb"),
    "random_share": ("bohb",),
    "hidden": ("multilevel",),
    "entropy": ("multilevel",),
    "level_trials": ("multilevel",),
    "candidates": ("multilevel",),
    "beam": ("multilevel",),
}
_PREFERENCES = {
    "order": ("darts",),
    "partial": ("pcdarts",),
    "start": ("pcdarts",),
    "hidden": ("enas",),
    "entropy": ("enas",),
    "decay": ("enas",),
    "samples": ("enas", "setn"),
    "weight_decay": ("darts", "pcdarts", "setn"),
}


def _strategy(recipe: Recipe) -> Unreads:
    name, evaluator = recipe.strategy.name, recipe.evaluator.name
    if name not in STRATEGIES:
        return
    meant = {}
    if name in DIFFERENTIABLE:
        both = {"lr": tuple(DIFFERENTIABLE), **_PREFERENCES}
        meant = {k: f"preferences.{k}" for k in _STRATEGIES if name in both.get(k, ())}
    yield from by_choice("strategy", "name", name, _STRATEGIES, meant)
    promotes = name in _STRATEGIES["eta"]
    if promotes and evaluator in EVALUATORS and evaluator not in BUDGETED:
        for key in ("strategy.eta", "strategy.least"):
            because, deciders = f"evaluator.name={evaluator}", ("evaluator.name", "strategy.name")
            readers = f"{readers_of('evaluator.name', BUDGETED)}; others know one budget"
            yield Unread(key, because, deciders, readers)


def _preferences(recipe: Recipe) -> Unreads:
    name = recipe.strategy.name
    if name in DIFFERENTIABLE:
        yield from by_choice("preferences", "strategy.name", name, _PREFERENCES)
    if name not in SEARCHING:
        return
    for key, field, _ in fields_below(recipe.preferences, "preferences."):
        readers = readers_of("strategy.name", _PREFERENCES.get(field.name, tuple(DIFFERENTIABLE)))
        if name in _STRATEGIES.get(field.name, ()):
            readers += f"; did you mean strategy.{field.name}?"
        yield Unread(key, f"strategy.name={name}", ("strategy.name",), readers)


def _search(recipe: Recipe) -> Unreads:
    name = recipe.strategy.name
    if name in DIFFERENTIABLE:
        readers = "strategies that ask for scores read it"
        if name in _PREFERENCES["samples"]:
            readers += "; did you mean preferences.samples?"
        yield Unread("search.trials", f"strategy.name={name}", ("strategy.name",), readers)
    if not recipe.search.storage:
        reader = "search.storage=URL reads it"
        yield Unread("search.silence", "search.storage=none", ("search.storage",), reader)


def _audit(recipe: Recipe) -> Unreads:
    if recipe.audit.networks == 0:
        for key in ("audit.epochs", "audit.candidates"):
            reader = "audit.networks=8 reads it"
            yield Unread(key, "audit.networks=0", ("audit.networks",), reader)
    elif recipe.evaluator.name == "standalone":
        readers = "every other evaluator reads it"
        because, deciders = "evaluator.name=standalone", ("evaluator.name",)
        yield Unread("audit.candidates", because, deciders, readers)


def _retrain(recipe: Recipe) -> Unreads:
    schedule, step = recipe.retrain.schedule, {"decay_rate": ("step",), "decay_epochs": ("step",)}
    if schedule in SCHEDULES:
        yield from by_choice("retrain", "schedule", schedule, step)
    if not recipe.retrain.teacher:
        because, deciders = "retrain.teacher=none", ("retrain.teacher",)
        yield Unread("retrain.teacher_weight", because, deciders, "retrain.teacher=NAME reads it")
