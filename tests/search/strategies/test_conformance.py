"""Every strategy passes the suite that is shipped for them."""

from __future__ import annotations

import sys

import pytest

from fewshot_core.errors import RecipeError
from fewshot_core.plugins import plugin, plugins
from fewshot_core.recipe.schema import StrategySettings
from fewshot_core.search.strategies import StrategyContext, make_strategy
from fewshot_core.spaces.region import Region
from fewshot_core.testing.strategies import Make, Score, StrategySuite, from_plugin
from fewshot_core.testing.toys import total, toy_space
from fewshot_tasks.autogan.space import generator_space

ROOT = Region.root(toy_space(5, 5, 5, 5))


class TestRandom(StrategySuite):
    plugin = "random"


class TestRea(StrategySuite):
    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("rea", population=6, sample=3)


class TestReaOfOne(StrategySuite):
    """The least that the recipe allows: the child of the last, always."""

    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("rea", population=1, sample=1)


class TestReinforce(StrategySuite):
    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("reinforce", lr=0.3)


class TestLanas(StrategySuite):
    trials = 20

    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("lanas", initial=6, least=2)


class TestMultilevel(StrategySuite):
    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("multilevel", lr=0.05, hidden=8)


class TestMultilevelOfTwoLevels(TestMultilevel):
    """Grows within the search."""

    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("multilevel", lr=0.05, hidden=8, level_trials=6, candidates=4, beam=2)

    @pytest.fixture
    def region(self) -> Region:
        root = Region.root(generator_space(2))
        return root.restrict("cell1_norm", ("none", "instance")).restrict("cell2_block", ("pre",))

    @pytest.fixture
    def score(self) -> Score:
        return lambda a: sum(c != "none" for c in a.choices) + int(a.id, 16) / 16**12


class TestHyperband(StrategySuite):
    budgets = True

    plugin = "hyperband"


class TestHyperbandWithOneBudget(StrategySuite):
    plugin = "hyperband"


class TestBohb(StrategySuite):
    budgets = True
    trials = 16

    plugin = "bohb"


class TestBohbWithOneBudget(StrategySuite):
    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("bohb", random_share=0.2)


class TestTpe(StrategySuite):
    trials = 16  # its model takes over after ten

    plugin = "tpe"


class TestNsga2(StrategySuite):
    # Three generations. Later, duplicates at the end of a front are equals to the selection, and
    # which of them survives depends on the order that Optuna has sorted them into.
    trials = 18

    @pytest.fixture
    def make(self) -> Make:
        return from_plugin("nsga2", population=6)


class TestSmac(StrategySuite):
    trials = 34  # a model after twenty, and after each eight more

    @pytest.fixture
    def region(self) -> Region:
        """So large that there is something unknown to the end, or chance would answer."""
        root = Region.root(toy_space(5, 6, 6, 3))
        return root.restrict("a", (1, 3)).restrict("d", (0, 2))

    @pytest.fixture
    def make(self) -> Make:
        pytest.importorskip("smac")
        return from_plugin("smac")


CONTEXT = StrategyContext(ROOT, lambda a: True, total)


def test_every_strategy_of_the_list_can_be_made() -> None:
    for name, entry in plugins("strategy").items():
        if not entry.differentiable and name != "smac":
            strategy = make_strategy(entry.default(), CONTEXT)
            assert ROOT.contains(strategy.ask(2**63 - 1).architecture)


def test_an_unknown_strategy_names_the_near_one() -> None:
    with pytest.raises(RecipeError, match=r"'hyprband'.*did you mean 'hyperband'"):
        make_strategy(StrategySettings("hyprband"), CONTEXT)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smac", None)
    monkeypatch.setitem(sys.modules, "smac.acquisition.function", None)
    with pytest.raises(RecipeError, match=r"needs the package smac.*pip install") as caught:
        make_strategy(plugin("strategy", "smac").default(), CONTEXT)
    assert "\n" not in str(caught.value)
