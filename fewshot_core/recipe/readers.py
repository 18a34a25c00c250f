"""Who reads a setting: what choices of data, split and evaluator leave unread in other sections.

What other plug-ins read is known from their settings:
:func:`fewshot_core.recipe.loose.unread_of_others`. Every line here was checked against the code
that reads the setting; where that depends on more than the recipe, such as on what a folder of
images holds, nothing is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import fields
from itertools import product
from typing import Any

from fewshot_core.plugins import find_plugin, names_with, plugin_of
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.loose import check_choices
from fewshot_core.recipe.schema import BUNDLED, KEYED, ROOTED, MeasuringSettings, Recipe
from fewshot_core.recipe.unread import Unread, Unreads, by_choice, of_supernets, readers_of
from fewshot_core.tasks import load_description


def unread_settings(recipe: Recipe, task: Any = None) -> list[Unread]:
    """Everything that a run of this recipe would not read.

    Args:
        recipe: Whose choices may be of any kind; of one that does not exist nothing is said.
        task: Its task, which knows of more; None: not yet imported.
    """
    found = [*_data(recipe), *_ladder(recipe), *_audit(recipe), *_retrain(recipe)]
    if not any(check_choices(recipe)):
        found += [*_supernets(recipe), *_strategy(recipe), *_search(recipe)]
    found += _teachers(recipe, {one.key for one in found})
    return found if task is None else [*found, *task.find_unread(recipe)]


def unread_keys(recipe: Recipe, task: Any = None) -> frozenset[str]:
    """The keys of all settings that a run of this recipe would not read.

    Args:
        recipe: A recipe whose choices there are.
        task: As for :func:`unread_settings`.
    """
    unread = {one.key for one in unread_settings(recipe, task)}
    every = flatten(dataclasses.asdict(recipe))
    return frozenset(
        key for key in every if key in unread or any(key.startswith(f"{u}.") for u in unread)
    )


def _data(recipe: Recipe) -> Unreads:
    data = recipe.data
    source, chosen = data.source, (f"data.source={data.source}", ("data.source",))
    downloaded = source.startswith("torch/")
    if not downloaded and source not in (*BUNDLED, *ROOTED):
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
    if not plugin_of("evaluator", recipe.evaluator).inherits:
        for section in ("supernet", "split", "regions"):
            yield from of_supernets(section, recipe)
        return
    levels = [recipe.split, *recipe.split.then]
    split, inherit = recipe.split, recipe.regions.inherit
    if not any(plugin_of("splitter", level).cuts for level in levels):
        reader, deciders = "a split reads it, see split.by", ("split.by", "split.then")
        yield Unread("regions", "split.by=none", deciders, reader)
        yield Unread("split.when", "split.by=none", deciders, reader)
    elif split.when == "never":
        # Epochs and inheritance decide what the one supernet gets.
        kept = ("regions.epochs", "regions.inherit")
        for key in (f"regions.{field.name}" for field in fields(recipe.regions)):
            if key not in kept:
                meant = key.replace("regions.", "supernet.")
                reader = f"split.when=auto or always reads it; did you mean {meant}?"
                yield Unread(key, "split.when=never", ("split.when",), reader)
        reader = "split.when=auto or always reads it"
        yield Unread("split.samples", "split.when=never", ("split.when",), reader)
    elif (
        split.when == "always"
        and not inherit
        and not any(plugin_of("splitter", level).learned for level in levels)
    ):
        because = "regions.inherit=false and split.when=always: no parent is trained"
        choices = ("regions.inherit", "split.when", "split.by", "split.then")
        for key in (f"supernet.{field.name}" for field in fields(recipe.supernet)):
            meant = key.replace("supernet.", "regions.")
            reader = f"regions.inherit=true reads it; did you mean {meant}?"
            yield Unread(key, because, choices, reader)
    strategy = plugin_of("strategy", recipe.strategy)
    if strategy.differentiable:
        own = {"paths": "paths of its own", "schedule": "a schedule of its own"}
        for section, key in product(("supernet", "regions"), own):
            reader = f"strategies that ask for scores read it; {strategy.name} has {own[key]}"
            key = f"{section}.{key}"
            yield Unread(key, f"strategy.name={strategy.name}", ("strategy.name",), reader)


def _strategy(recipe: Recipe) -> Unreads:
    strategy = plugin_of("strategy", recipe.strategy)
    evaluator = plugin_of("evaluator", recipe.evaluator)
    if strategy.budgets and not evaluator.budgets:
        budgeted = readers_of("evaluator.name", names_with("evaluator", "budgets"))
        for key in strategy.only_with_budgets:
            because, deciders = (
                f"evaluator.name={evaluator.name}",
                ("evaluator.name", "strategy.name"),
            )
            readers = f"{budgeted}; others know one budget"
            yield Unread(f"strategy.{key}", because, deciders, readers)


def _search(recipe: Recipe) -> Unreads:
    strategy, name = plugin_of("strategy", recipe.strategy), recipe.strategy.name
    if strategy.differentiable:
        readers = "strategies that ask for scores read it"
        if hasattr(recipe.preferences, "samples"):
            readers += "; did you mean preferences.samples?"
        yield Unread("search.trials", f"strategy.name={name}", ("strategy.name",), readers)
    yield from _noise(recipe)
    if not recipe.search.storage:
        reader = "search.storage=URL reads it"
        yield Unread("search.silence", "search.storage=none", ("search.storage",), reader)


def _noise(recipe: Recipe) -> Unreads:
    """The noise of a score is known of shares of images, and of nothing else."""
    evaluator, settings = plugin_of("evaluator", recipe.evaluator), recipe.evaluator
    shares = [m.name for m in load_description(recipe.task).metrics if m.unit == "%" and m.score]
    if not (evaluator.measures and (evaluator.direct or evaluator.trains)):
        because = f"evaluator.name={evaluator.name}"
        readers = "evaluators that measure accuracies read it"
        yield Unread("search.noise", because, ("evaluator.name",), readers)
    elif isinstance(settings, MeasuringSettings) and settings.score not in shares:
        because = f"evaluator.score={settings.score}"
        reads = readers_of("evaluator.score", shares) if shares else "tasks with accuracies read it"
        yield Unread("search.noise", because, ("evaluator.score",), reads)


def _ladder(recipe: Recipe) -> Unreads:
    if recipe.ladder.networks == 0:
        for key in ("epochs", "rungs", "keep", "judge", "prior", "pool", "proposals"):
            reader = "ladder.networks=48 reads it"
            yield Unread(f"ladder.{key}", "ladder.networks=0", ("ladder.networks",), reader)


def _audit(recipe: Recipe) -> Unreads:
    if recipe.audit.networks == 0:
        for key in ("audit.epochs", "audit.candidates"):
            reader = "audit.networks=8 reads it"
            yield Unread(key, "audit.networks=0", ("audit.networks",), reader)
        return
    evaluator = find_plugin("evaluator", recipe.evaluator.name)
    if evaluator is not None and evaluator.trains:
        readers = "every other evaluator reads it"
        because, deciders = f"evaluator.name={evaluator.name}", ("evaluator.name",)
        yield Unread("audit.candidates", because, deciders, readers)


def _retrain(recipe: Recipe) -> Unreads:
    step = {"decay_rate": ("step",), "decay_epochs": ("step",)}
    yield from by_choice("retrain", "schedule", recipe.retrain.schedule, step)


def _teachers(recipe: Recipe, unread: Collection[str]) -> Unreads:
    """The weight of a teacher that there is not, in sections that are read."""
    for section in ("supernet", "regions", "retrain"):
        teacher, weight = f"{section}.teacher", f"{section}.teacher_weight"
        if not (getattr(recipe, section).teacher or {section, weight} & set(unread)):
            yield Unread(weight, f"{teacher}=none", (teacher,), f"{teacher}=NAME reads it")
