"""``budget=PASSES``: what a search does is chosen by a rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.recipe.load import load_recipe, recipe_yaml
from fewshot_core.recipe.planning import NETWORKS, SCORED, plan_search, tell_plan
from fewshot_core.recipe.readers import unread_keys
from fewshot_core.recipe.schema import Recipe


def load(*words: str) -> Recipe:
    return load_recipe(words).recipe


def test_the_best_untrained_scores_are_trained_shortly() -> None:
    recipe = load("recipe=nasbench201", "params=170K", "budget=6.7")
    assert (recipe.search.budget, recipe.ladder.epochs) == (6.7, 6.7)
    assert (recipe.ladder.networks, recipe.ladder.rungs) == (NETWORKS, 2)
    assert (recipe.evaluator.name, recipe.strategy.name) == ("naswot", "random")
    assert (recipe.search.trials, recipe.audit.networks) == (SCORED, 0)
    assert tell_plan(recipe) == plan_search(6.7, scored=True, limited=True).sentence


def test_without_a_limit_the_largest_is_named() -> None:
    told = tell_plan(load("recipe=nasbench201", "budget=6.7"))
    assert told is not None
    assert told.endswith("which evaluator=counting ladder.networks=0 looks for")
    limited = tell_plan(load("recipe=nasbench201", "budget=6.7", "params=170K"))
    assert limited is not None
    assert "largest" not in limited


def test_networks_that_no_score_orders_are_drawn_at_random() -> None:
    recipe = load("recipe=autogan_digits", "budget=50")
    assert (recipe.evaluator.name, recipe.search.trials) == ("counting", NETWORKS)
    told = tell_plan(recipe)
    assert told is not None
    assert told.startswith("budget of 50 passes: 25 random networks are trained from scratch")
    assert "NAS-Bench-201" not in told  # where no generator was measured


@pytest.mark.parametrize("limit", ["flops=30M", "params=100k", "latency=20"])
def test_a_budget_goes_with_images_and_every_limit(limit: str) -> None:
    assert load("images=x", limit, "budget=100").ladder.networks == NETWORKS


def test_without_a_budget_a_recipe_does_what_it_says() -> None:
    recipe = load("recipe=nasbench201", "params=170K")
    assert (recipe.evaluator.name, recipe.ladder.networks) == ("inherited", 0)
    assert tell_plan(recipe) is None


def test_words_count_before_the_plan_wherever_they_stand() -> None:
    words = ["recipe=digits", "evaluator=counting", "budget=30", "ladder.networks=12"]
    recipe = load(*words)
    assert (recipe.evaluator.name, recipe.ladder.networks) == ("counting", 12)
    assert recipe.strategy.name == "random"
    told = tell_plan(recipe)
    assert told is not None
    assert told.endswith("; but you gave evaluator.name=counting ladder.networks=12")


def test_what_nothing_reads_was_not_given() -> None:
    told = tell_plan(load("recipe=nasbench201", "budget=6.7", "ladder.networks=0"))
    assert told is not None
    assert told.endswith("; but you gave ladder.networks=0")  # and no other length of its rungs


def test_nothing_reads_the_supernets_that_are_not_trained() -> None:
    """Also where the default happens to be what was chosen for the images."""
    unread = unread_keys(load("images=x", "flops=30M", "budget=100"))
    assert {"supernet.batch_size", "regions.epochs", "split.when"} <= unread
    assert not {"retrain.epochs", "ladder.epochs", "data.validation"} & unread


def test_a_recipe_may_have_a_budget(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "task: cifar10\nsearch: {budget: 9}\nconstraint: {params: 9000}\nladder: {rungs: 3}\n"
    )
    recipe = load(f"recipe={file}")
    assert (recipe.ladder.epochs, recipe.ladder.rungs) == (9, 3)  # what stands beside it counts
    assert load(f"recipe={file}", "budget=4").ladder.rungs == 2  # but not before a word


def test_a_run_keeps_its_plan(tmp_path: Path) -> None:
    recipe = load("recipe=nasbench201", "params=170K", "budget=6.7", "ladder.networks=30")
    (tmp_path / "recipe.yaml").write_text(recipe_yaml(recipe))
    assert load(f"run={tmp_path}") == recipe
    assert load(f"run={tmp_path}", "ladder.keep=0.5").ladder.networks == 30


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
