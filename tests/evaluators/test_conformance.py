"""Every evaluator passes the suite that is shipped for them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import pytest

from fewshot_core.errors import DataError
from fewshot_core.evaluators import TabularEvaluator, make_evaluator
from fewshot_core.evaluators.counting import CountingSettings
from fewshot_core.evaluators.naswot import NaswotSettings
from fewshot_core.evaluators.predictor import PredictorSettings
from fewshot_core.evaluators.table import TableSettings
from fewshot_core.plugins import plugins
from fewshot_core.testing.evaluators import EvaluatorSuite, ToyContext, ToyTold
from fewshot_core.testing.toys import total


class TestInherited(EvaluatorSuite):
    plugin = "inherited"


class TestPredictor(EvaluatorSuite):
    plugin = "predictor"
    settings: ClassVar = {"samples": 60}


class TestEnsemble(EvaluatorSuite):
    plugin = "ensemble"
    settings: ClassVar = {"samples": 40, "size": "params"}


class TestEnsembleWithoutProxy(EvaluatorSuite):
    plugin = "ensemble"
    settings: ClassVar = {"samples": 40, "proxy": None}


class TestStandalone(EvaluatorSuite):
    plugin = "standalone"


class TestTable(EvaluatorSuite):
    plugin = "table"

    @pytest.fixture
    def chosen(self, tmp_path: Path) -> Any:
        return TableSettings(table=str(write_value(tmp_path / "scores.csv")), column="acc")


class TestSynflow(EvaluatorSuite):
    plugin = "synflow"


class TestNaswot(EvaluatorSuite):
    plugin = "naswot"


class TestCounting(EvaluatorSuite):
    plugin = "counting"


def test_the_larger_network_counts_as_the_better_one() -> None:
    context = ToyContext()
    several = [context.root.sample(random.Random(seed)) for seed in range(10)]
    for cost in ("params", "flops"):
        evaluator = make_evaluator(CountingSettings(cost=cost), context)
        for architecture in several:
            counted = context.costs(architecture)[f"connected_{cost}"]
            assert evaluator.evaluate(architecture) == {"score": counted}


def write_value(path: Path, missing: int = 0) -> Path:
    """A table of all that a search may ask for, but for so many."""
    context = ToyContext()
    rows = [
        f'"{context.root.space.genotype(a)}",{total(a)}'
        for a in context.root.enumerate()
        if context.accepts(a)
    ]
    path.write_text("\n".join(["architecture,acc", *rows[missing:]]) + "\n")
    return path


def test_no_evaluator_is_left_out() -> None:
    tested = {kind.plugin for kind in EvaluatorSuite.__subclasses__()}
    assert set(plugins("evaluator")) <= tested


def test_a_table_that_lacks_something_says_so_before_the_search(tmp_path: Path) -> None:
    context, path = ToyContext(), write_value(tmp_path / "scores.csv", missing=2)
    evaluator = make_evaluator(TableSettings(table=str(path), column="acc"), context)
    assert isinstance(evaluator, TabularEvaluator)
    with pytest.raises(DataError, match=r"no row for 2 of the 124 architectures"):
        evaluator.require(context.root, context.accepts)


def test_a_predictor_learns_from_what_supernets_say() -> None:
    context = ToyContext(seed=3)
    evaluator = make_evaluator(PredictorSettings(samples=60), context)
    assert set(context.kept) == {"predictor-scores.csv", "predictor.json"}
    scores = context.kept["predictor-scores.csv"]
    assert len(scores) == 60
    assert all(context.accepts(a) for a in scores)
    figures = context.kept["predictor.json"]
    assert (figures["samples"], figures["held_out"]) == (48, 12)
    assert len(context.told) == 1
    assert context.told[0].startswith("predictor: 48 scores learnt; on 12 held out, tau ")
    again = ToyContext(seed=3)
    one = again.root.sample(random.Random(0))
    same = make_evaluator(PredictorSettings(samples=60), again)
    assert same.evaluate(one) == evaluator.evaluate(one)
    assert list(again.kept["predictor-scores.csv"]) == list(scores)
    other = ToyContext(seed=4)
    make_evaluator(PredictorSettings(samples=60), other)
    assert list(other.kept["predictor-scores.csv"]) != list(scores)


@pytest.mark.parametrize(
    ("size", "known", "count"), [(256, None, 64), (16, None, 16), (256, 40, 40)]
)
def test_naswot_compares_few_images(size: int, known: int | None, count: int) -> None:
    words = plugins("evaluator")["naswot"].words
    told = ToyTold(data={} if known is None else {"train": known})
    assert f"on {count} training images" in words.meaning(NaswotSettings(batch_size=size), told)
