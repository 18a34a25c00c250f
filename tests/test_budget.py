from __future__ import annotations

import pytest

from fewshot_core.budget import PAYS_FROM, SplitDecision, decide_split
from fewshot_core.recipe.schema import Recipe
from fewshot_core.region import Region
from fewshot_core.testing.toys import toy_space

ROOT = Region.root(toy_space(3, 4))  # four options at most


def recipe(when: str, parent: float, each: float, inherit: bool = True) -> Recipe:
    made = Recipe()
    made.split.when = when
    made.supernet.epochs, made.regions.epochs = parent, each
    made.regions.inherit = inherit
    return made


def decide(made: Recipe, images: int, regions: int = 5) -> SplitDecision:
    return decide_split(made, regions, ROOT, images)


def test_auto_splits_from_the_measured_budget_on() -> None:
    made = recipe("auto", parent=5, each=1)  # ten passes in all
    enough = PAYS_FROM * 4 // 10
    assert decide(made, enough).split
    assert decide(made, enough).parent_epochs == 5
    below = decide(made, enough - 1)
    assert not below.split
    assert below.parent_epochs == 10
    assert "split.when=always" in below.sentence
    assert "per option, one supernet ranked better" in below.sentence


@pytest.mark.parametrize("images", [1, 10**9])
def test_always_and_never_do_not_look_at_the_budget(images: int) -> None:
    assert decide(recipe("always", 5, 1), images) == SplitDecision(True, 5)
    never = decide(recipe("never", 5, 1), images)
    assert (never.split, never.parent_epochs) == (False, 10)


def test_without_inheritance_there_is_no_parent_to_count() -> None:
    assert decide(recipe("never", 5, 2, inherit=False), 1).parent_epochs == 10


def test_nothing_to_decide_without_a_split() -> None:
    for when in ("auto", "always", "never"):
        assert decide(recipe(when, 5, 1), 1, regions=1) == SplitDecision(False, 5)


def test_json_gives_the_decision_back() -> None:
    made = decide(recipe("auto", 5, 1), 10)
    assert SplitDecision(**made.to_json()) == made
