"""Settings that nothing reads: which they are, and when giving one is an error."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.plugins import KINDS, names_with, plugin, plugins
from fewshot_core.recipe.declare import fields_below, with_values
from fewshot_core.recipe.keys import flatten
from fewshot_core.recipe.layers import only_read
from fewshot_core.recipe.load import load_recipe, recipe_from_file, recipe_yaml
from fewshot_core.recipe.loose import loose_type, settle, unread_of_others
from fewshot_core.recipe.readers import unread_settings
from fewshot_core.recipe.schema import ROOTED, Recipe
from fewshot_core.tasks import load_description, load_task

from .conftest import Load, Refusal, Write


def words_refused(words: list[str]) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(words)
    return str(caught.value)


# -- what is an error ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["data.root=/x"],
            (
                "data.root=/x has no effect with data.source=digits",
                "images, wds, hfds or torch/NAME",
            ),
        ),
        (["data.test_root=/x"], ("data.source=images, wds or hfds read it",)),
        (["data=torch/cifar10", "data.test_root=/x"], ("data.source=torch/cifar10",)),
        (["data=torch/cifar10", "data.test=0.3"], ("data.test=0.3 has no effect",)),
        (
            ["data=images", "data.root=/x", "data.test_root=/y", "data.test=0.3"],
            ("data.test_root",),
        ),
        (["data.download=false"], ("hfds or torch/NAME read it",)),
        (["data.label_key=cls"], ("only for data.source=wds or hfds",)),
        (["data=wds", "data.root=/x", "data.labelled=false", "data.label_key=cls"], ("labelled",)),
        (["strategy=random", "strategy.population=5"], ("strategy.name=nsga2 or rea read it",)),
        (["strategy=tpe", "strategy.sample=3"], ("strategy.name=rea reads it",)),
        (["strategy=darts", "strategy.lr=0.2"], ("did you mean preferences.lr?",)),
        (["strategy=enas", "strategy.entropy=0.2"], ("did you mean preferences.entropy?",)),
        (["strategy=multilevel", "preferences.hidden=9"], ("did you mean strategy.hidden?",)),
        (["preferences.share=0.3"], ("strategy.name=darts, enas, pcdarts or setn read it",)),
        (["strategy=darts", "preferences.samples=9"], ("strategy.name=enas or setn read it",)),
        (["strategy=darts", "search.trials=9"], ("search.trials=9", "strategies that ask")),
        (["strategy=setn", "search.trials=9"], ("did you mean preferences.samples?",)),
        (["strategy=darts", "supernet.paths=fair"], ("supernet.paths.policy=fair",)),
        (["strategy=darts", "supernet.schedule=complexity"], ("darts has a schedule of its own",)),
        (["evaluator.epochs=3"], ("evaluator.epochs=3 has", "did you mean supernet.epochs?")),
        (["evaluator.samples=50"], ("evaluator.name=ensemble or predictor read it",)),
        (["evaluator.column=x"], ("evaluator.name=table reads it",)),
        (["evaluator=synflow", "supernet.epochs=3"], ("inherited or predictor read it",)),
        (["evaluator=synflow", "evaluator.score=loss"], ("inherited, predictor or standalone",)),
        (["evaluator=naswot", "split=random"], ("split.by=random", "train no supernet")),
        (["evaluator=naswot", "data.search_size=4"], ("data.search_size=4",)),
        (["evaluator=standalone", "evaluator.share_equal=false"], ("share_equal=false",)),
        (
            ["evaluator=predictor", "strategy=bohb", "strategy.eta=2"],
            ("evaluator.name=inherited or standalone read it; others know one budget",),
        ),
        (["regions.lr=0.3"], ("regions.lr=0.3 has no effect with split.by=none",)),
        (["split.when=always"], ("split.by",)),
        (["split.count=3"], ("split.by=gradients or random read it",)),
        (["split=random", "split.samples=3"], ("split.by=gradients reads it",)),
        (["split.then=[{by: random, feature: x}]"], ("split.then[0].feature=x",)),
        (["split=random", "split.when=never", "regions.lr=1"], ("did you mean supernet.lr?",)),
        (
            ["split=random", "split.when=always", "regions.inherit=false", "supernet.lr=1"],
            ("no parent is trained", "did you mean regions.lr?"),
        ),
        (["supernet.paths.count=3"], ("supernet.paths.policy=sandwich reads it",)),
        (["supernet.paths=sandwich", "supernet.paths.low=1M"], ("policy=cost reads it",)),
        (["search.silence=5"], ("search.storage=URL reads it",)),
        (["audit.epochs=9"], ("audit.networks=0",)),
        (
            ["evaluator=standalone", "audit.networks=8", "audit.epochs=9", "audit.candidates=3"],
            ("audit.candidates=3 has no effect with evaluator.name=standalone",),
        ),
        (["retrain.decay_rate=0.5"], ("retrain.schedule=step reads it",)),
        (["retrain.teacher_weight=2"], ("retrain.teacher=NAME reads it",)),
        (["supernet.teacher_weight=2"], ("supernet.teacher=NAME reads it",)),
        (["regions.teacher_weight=2"], ("split.by=none",)),
        (["split=random", "regions.teacher_weight=2"], ("regions.teacher=NAME reads it",)),
        (["evaluator=synflow", "supernet.teacher=t"], ("train no supernet",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_setting_that_nothing_reads_is_an_error(
    refusal: Refusal, words: list[str], parts: tuple[str, ...]
) -> None:
    line = refusal(*words)
    assert line.count("has no effect with") == 1
    assert all(part in line for part in parts), line
    # It is the same in a file, which is named.
    text = "".join(f"{key}: {value}\n" for key, _, value in (w.partition("=") for w in words))
    assert f"demo.yaml: {words[-1].partition('=')[0]}" in refusal(text=text)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["recipe=digits", "supernet.optimizer=adamw", "supernet.momentum=0.8"], ("sgd",)),
        (["recipe=digits", "supernet.eps=0.1"], ("supernet.optimizer=sgd", "adamw")),
        (["recipe=digits", "evaluator=synflow", "network.supernet_affine=true"], ("inherited",)),
        (["recipe=mobile_digits", "network.blocks=3"], ("network.space=proxyless reads it",)),
        (["recipe=autogan_digits", "retrain.ema=0.9"], ("task=autogan", "mean gan.ema?")),
        (["recipe=autogan_digits", "evaluator.images=9"], ("did you mean metric.images?",)),
        (["recipe=autogan_digits", "supernet.label_smoothing=0.1"], ("classifiers",)),
        (["recipe=autogan_digits", "metric.weights=/x"], ("metric.extractor=inception reads it",)),
        (["recipe=autogan", "metric.steps=9"], ("metric.extractor=classifier reads it",)),
        (
            ["recipe=autogan_digits", "gan.reset_window=0", "gan.reset_variance=1"],
            ("reset_window",),
        ),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_settings_that_a_task_does_not_read(words: list[str], parts: tuple[str, ...]) -> None:
    line = words_refused(words)
    assert f"{words[-1]} has no effect with" in line
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    "words",
    [
        ["recipe=digits", "strategy=tpe"],  # digits.yaml has no population, but...
        ["recipe=imagenet", "strategy=random"],  # ...this one has
        ["recipe=digits", "strategy=darts", "split.when=never"],
        ["recipe=nasbench201", "split=none"],
        ["recipe=nasbench201", "evaluator=synflow"],
        ["recipe=imagenet", "data.source=digits", "data.image_size=32"],
        ["recipe=imagenet", "retrain.schedule=cosine"],
        ["recipe=autogan_digits", "metric.extractor=inception"],
        ["recipe=mobile_digits", "supernet.paths=uniform"],
        ["recipe=digits", "audit.networks=0"],
        ["recipe=digits", "strategy.population=30", "strategy=random"],  # the default
    ],
    ids=" ".join,
)
def test_what_was_chosen_after_a_setting_was_given_drops_it(words: list[str]) -> None:
    load_recipe(words)


def test_files_that_extend_are_layers(write: Write, load: Load, refusal: Refusal) -> None:
    write(
        "base",
        "strategy: {name: rea, population: 7, sample: 3}\ndata: {source: images, root: /x}\n",
    )
    assert (
        load(text="extends: base\nstrategy: random\n").recipe.strategy
        == plugin("strategy", "random").default()
    )
    assert load(text="extends: base\ndata: {source: digits}\n").recipe.data.root is None
    line = refusal(text="extends: base\nstrategy: {name: random, population: 9}\n")
    assert "demo.yaml: strategy.population=9 has no effect with strategy.name=random" in line
    # A later choice that has nothing to do with it is no excuse.
    write("base", "strategy: {name: random, population: 7}\n")
    assert "base.yaml: strategy.population=7" in refusal(text="extends: base\nevaluator: synflow\n")


def test_all_that_is_given_in_vain_is_in_one_line(refusal: Refusal) -> None:
    line = refusal("strategy=random", "strategy.population=5", "data.root=/x", "seed=x")
    for part in ("data.root=/x has no effect", "strategy.population=5 has no effect", "seed=x is"):
        assert part in line


def test_scripts_may_drop_it() -> None:
    recipe = load_recipe(["recipe=digits", "split=none", "regions.lr=1"], drop_unread=True).recipe
    assert recipe.regions.lr == Recipe().regions.lr


# -- exactness -----------------------------------------------------------------------------------

ALWAYS = {
    *(
        "recipe",
        "description",
        "task",
        "seed",
        "precision",
        "channels_last",
        "threads",
        "processes",
    ),
    *("checkpoint_steps", "estimate", "grace_seconds", "track"),
    *(
        f"data.{name}"
        for name in ("source", "labelled", "image_size", "validation", "limit", "flip")
    ),
    *(f"data.{name}" for name in ("look", "pad", "cutout", "scale", "memory", "workers")),
    *(
        "evaluator.name",
        "evaluator.batch_size",
        "strategy.name",
        "search.storage",
        "search.budget",
        "ladder.networks",
        "audit.networks",
    ),
    *("constraint.flops", "constraint.params", "constraint.latency"),
    *(f"retrain.{field.name}" for field in dataclasses.fields(Recipe().retrain)),
} - {"retrain.decay_rate", "retrain.decay_epochs", "retrain.teacher_weight"}
"""Settings that every run of a classifier may read."""


def everything(recipe: Recipe) -> Any:
    """The recipe with the settings of every plug-in, as words are merged into it."""
    sections = load_description(recipe.task).sections
    return loose_type(sections)()


def test_every_setting_says_who_reads_it() -> None:
    """A new one is thought of here: it goes into the table, or among those that are always read."""
    found: set[str] = set()
    loose = everything(Recipe())
    names = itertools.product(plugins("evaluator"), ("digits", "images", "wds", "torch/x"))
    for (evaluator, source), strategy in itertools.product(names, plugins("strategy")):
        loose.evaluator.name, loose.strategy.name = evaluator, strategy
        recipe = with_values(
            settle(loose, (), {}),
            {"data.source": source, "data.test_root": "x", "retrain.augment": "rand-m9"},
        )
        found |= {one.key for one in unread_settings(recipe)}
        found |= {one.key for one in unread_of_others(recipe, loose)}
    keys = {key for key, _, _ in fields_below(loose) if not key.startswith("network.")}
    sections = tuple(f"{key}." for key in found)
    assert {key for key in keys if key not in found and not key.startswith(sections)} == ALWAYS


NAMES = {kind: tuple(plugins(kind)) for kind in KINDS}

CHOICES: list[list[str]] = [
    *([f"strategy={name}"] for name in NAMES["strategy"]),
    *([f"evaluator={name}"] for name in NAMES["evaluator"]),
    *([f"split={name}"] for name in NAMES["splitter"]),
    *([f"split.when={when}", "split=random"] for when in ("auto", "always", "never")),
    *([f"supernet.paths={name}", f"regions.paths={name}"] for name in NAMES["paths"]),
    *([f"data={name}", "data.root=/x"] for name in (*ROOTED, "torch/cifar10")),
    ["data=digits"],
    ["regions.inherit=false", "split.when=always", "split=random"],
    ["evaluator=table", "audit.networks=0"],
    ["search.storage=sqlite:////x.db", "retrain.teacher=t", "retrain.schedule=step"],
    ["split=random", "supernet.teacher=t", "regions.teacher=t"],
]
"""Every choice that decides who reads what."""

NEEDED = {
    "split=decision": ["split.decision=d"],
    "split=groups": ["split.decision=d", "split.groups=[[a], [b]]"],
    "split=bands": ["split.feature=f", "split.cuts=[2]"],
    "evaluator=table": ["evaluator.table=/t.csv"],
    "regions.paths=balanced": ["regions.paths.feature=f"],
}
"""What some choices cannot do without."""


@pytest.mark.parametrize("name", ["digits", "imagenet", "autogan"])
def test_a_resolved_recipe_names_only_what_is_read(name: str, tmp_path: Path) -> None:
    task = load_task(load_recipe([f"recipe={name}"]).recipe.task)
    kept = 0
    for words in CHOICES:
        words = [f"recipe={name}", *words, *(w for word in words for w in NEEDED.get(word, ()))]
        try:
            recipe = load_recipe(words, drop_unread=True).recipe
        except RecipeError:  # not every task has every choice
            continue
        kept += 1
        assert only_read(recipe, task) == recipe
        values = flatten(dataclasses.asdict(recipe))
        defaults = flatten(dataclasses.asdict(type(recipe)()))
        for one in unread_settings(recipe, task):
            for key, default in defaults.items():
                if key == one.key or key.startswith(f"{one.key}."):
                    assert values[key] == default, (words, one)
        # The file that a run keeps is read again without a complaint, as the same recipe.
        (tmp_path / "recipe.yaml").write_text(recipe_yaml(recipe))
        assert load_recipe([f"run={tmp_path}"]).recipe == recipe
    assert kept > len(CHOICES) / 2


@pytest.mark.parametrize(
    "words",
    [
        ["recipe=digits", "strategy=darts"],
        ["recipe=imagenet", "data.source=digits", "split=none", "strategy=tpe"],
        ["recipe=autogan", "evaluator=table", "evaluator.table=/t.csv", "retrain.compare=[random]"],
    ],
    ids=" ".join,
)
def test_a_resolved_recipe_loads_again(words: list[str], tmp_path: Path) -> None:
    recipe = load_recipe(words).recipe
    (tmp_path / "recipe.yaml").write_text(recipe_yaml(recipe))
    assert recipe_from_file(tmp_path / "recipe.yaml") == recipe
    assert load_recipe([f"recipe={tmp_path / 'recipe.yaml'}"]).recipe == recipe
    assert load_recipe([f"run={tmp_path}"]).recipe == recipe


def test_the_rest_of_a_level_is_forgotten_in_lists(load: Load) -> None:
    text = "split: {by: random, then: [{by: bands, feature: f, cuts: [2]}, none]}\n"
    then = load(text=text).recipe.split.then
    bands = plugin("splitter", "bands").settings(by="bands", feature="f", cuts=[2.0])
    assert then == [bands, plugin("splitter", "none").default()]


def test_a_choice_that_does_not_exist_is_the_only_fault(refusal: Refusal) -> None:
    assert "no effect" not in refusal("strategy=rae", "strategy.population=5", "strategy.sample=2")
    assert "no effect" not in refusal("data=digts", "data.root=/x")
    assert "no effect" not in refusal("evaluator=tabel", "supernet.epochs=3")
    assert "no effect" not in refusal("split=bnads", "split.cuts=[3]")


@pytest.mark.parametrize("strategy", names_with("strategy", "differentiable"))
def test_strategies_with_preferences_keep_them(load: Load, strategy: str) -> None:
    recipe = load(f"strategy={strategy}", "preferences.share=0.3", "preferences.lr=0.2").recipe
    assert (recipe.preferences.share, recipe.preferences.lr) == (0.3, 0.2)
