"""``budget=PASSES``: what a search does is chosen by a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.evaluators.ensemble import EnsembleSettings
from fewshot_core.recipe.load import load_recipe, recipe_yaml
from fewshot_core.recipe.planning import NETWORKS, TRIALS, plan_search, tell_plan
from fewshot_core.recipe.readers import unread_keys
from fewshot_core.recipe.schema import Recipe


def load(*words: str) -> Recipe:
    return load_recipe(words).recipe


@pytest.mark.parametrize(
    ("limit", "size"),
    [("params=170K", "params"), ("flops=9M", "flops"), ("latency=20", "params"), ("", "params")],
)
def test_a_supernet_is_trained_and_scores_are_joined(limit: str, size: str) -> None:
    recipe = load("recipe=nasbench201", "budget=6.7", *limit.split())
    assert (recipe.search.budget, recipe.supernet.epochs) == (6.7, 6.7)
    assert isinstance(recipe.evaluator, EnsembleSettings)
    assert (recipe.evaluator.score, recipe.evaluator.size) == ("loss", size)
    assert (recipe.strategy.name, recipe.search.trials) == ("rea", TRIALS)
    assert (recipe.split.by, recipe.ladder.networks, recipe.audit.networks) == ("none", 0, 0)
    assert tell_plan(recipe) == plan_search(6.7, scored=True, limited=size).sentence


def test_both_limits_are_compared_by_parameters() -> None:
    recipe = load("recipe=nasbench201", "budget=6.7", "flops=9M", "params=170K")
    assert isinstance(recipe.evaluator, EnsembleSettings)
    assert recipe.evaluator.size == "params"


def test_a_short_budget_has_a_short_warm_up() -> None:
    recipe = load("recipe=imagenet", "data.root=/x", "budget=20")
    assert recipe.supernet.warmup_epochs == 2
    assert load("recipe=imagenet", "data.root=/x", "budget=300").supernet.warmup_epochs == 20


def test_networks_that_no_score_orders_are_drawn_at_random() -> None:
    recipe = load("recipe=autogan_digits", "budget=50")
    assert (recipe.evaluator.name, recipe.search.trials) == ("counting", NETWORKS)
    told = tell_plan(recipe)
    assert told is not None
    assert told.startswith("budget of 50 passes: 25 random networks are trained from scratch")
    assert "NAS-Bench-201" not in told  # where no generator was measured


@pytest.mark.parametrize("limit", ["flops=30M", "params=100k", "latency=20"])
def test_a_budget_goes_with_images_and_every_limit(limit: str) -> None:
    recipe = load("images=x", limit, "budget=100")
    assert (recipe.evaluator.name, recipe.supernet.epochs) == ("ensemble", 100)


def test_without_a_budget_a_recipe_does_what_it_says() -> None:
    recipe = load("recipe=nasbench201", "params=170K")
    assert (recipe.evaluator.name, recipe.ladder.networks) == ("inherited", 0)
    assert tell_plan(recipe) is None


def test_words_count_before_the_plan_wherever_they_stand() -> None:
    words = ["recipe=digits", "evaluator=counting", "budget=30", "ladder.networks=12"]
    recipe = load(*words)
    assert (recipe.evaluator.name, recipe.ladder.networks) == ("counting", 12)
    assert recipe.strategy.name == "rea"
    told = tell_plan(recipe)
    assert told is not None
    assert told.endswith("; but you gave evaluator.name=counting ladder.networks=12")


def test_what_nothing_reads_was_not_given() -> None:
    told = tell_plan(load("recipe=autogan_digits", "budget=6.7", "ladder.networks=0"))
    assert told is not None
    assert told.endswith("; but you gave ladder.networks=0")  # and no other length of its rungs


def test_nothing_reads_the_regions_that_are_not_trained() -> None:
    """Also where the default happens to be what was chosen for the images."""
    unread = unread_keys(load("images=x", "flops=30M", "budget=100"))
    assert {"regions.epochs", "split.when", "ladder.epochs"} <= unread
    assert not {"retrain.epochs", "supernet.batch_size", "data.validation"} & unread


def test_a_recipe_may_have_a_budget(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("task: cifar10\nsearch: {budget: 9, trials: 50}\nconstraint: {params: 9000}\n")
    recipe = load(f"recipe={file}")
    assert (recipe.supernet.epochs, recipe.search.trials) == (9, 50)  # what stands beside it counts
    assert load(f"recipe={file}", "budget=4").search.trials == TRIALS  # but not before a word


def test_a_run_keeps_its_plan(tmp_path: Path) -> None:
    recipe = load("recipe=nasbench201", "params=170K", "budget=6.7", "search.trials=30")
    (tmp_path / "recipe.yaml").write_text(recipe_yaml(recipe))
    assert load(f"run={tmp_path}") == recipe
    more = load(f"run={tmp_path}", "search.trials=40")
    assert (more.search.trials, more.evaluator) == (40, recipe.evaluator)


def test_a_recipe_that_compares_with_its_supernet_compares_with_the_rest() -> None:
    recipe = load("recipe=autogan_digits", "budget=50")
    assert load("recipe=autogan_digits").retrain.compare == ["one-shot", "random"]
    assert recipe.retrain.compare == ["random"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget=0"], "search.budget=0.0 must be above 0"),
        (["budget=-3"], "search.budget=-3.0 must be above 0"),
        (["budget=much"], "search.budget"),
        (["budget=5", "strategy=darts"], "search.budget=5 does not go with strategy.name=darts"),
    ],
)
def test_a_budget_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace(".", r"\.")):
        load("recipe=digits", "params=20K", *words)
