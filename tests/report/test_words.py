"""What a report claims: when scores are trusted, and when a difference is called one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fewshot_core.evaluators.inherited import InheritedSettings
from fewshot_core.evaluators.naswot import NaswotSettings
from fewshot_core.evaluators.standalone import StandaloneSettings
from fewshot_core.evaluators.synflow import SynflowSettings
from fewshot_core.evaluators.table import TableSettings
from fewshot_core.metrics import ACCURACY
from fewshot_core.pipeline.report import write_report
from fewshot_core.recipe.schema import EvaluatorSettings, Recipe
from fewshot_core.report.facts import AuditFacts, Correlation, Retrained, RunFacts
from fewshot_core.report.words import comparison, score_name, summary, verdict
from fewshot_core.trust.verdict import judge

from .conftest import MakeRun


def audit(tau: tuple[float, float, float], baseline: float, **more: Any) -> AuditFacts:
    values = [float(i) for i in range(9)]
    costs = {"connected_params": [100.0 + i for i in range(9)], "connected_flops": [1000.0] * 9}
    facts = AuditFacts(
        5.0,
        values,
        values,
        costs,
        Correlation(*tau),
        {
            "connected_params": Correlation(baseline, baseline - 0.1, baseline + 0.1),
            "connected_flops": Correlation(-1.0, -1.0, -1.0),
        },
        1000.0,
        30,
    )
    return replace(facts, **more)


def test_the_verdict_is_that_of_the_rule_with_what_it_rests_on() -> None:
    facts = audit((0.8, 0.6, 0.9), 0.3)
    result = verdict(facts, RunFacts(data={"validation": 287}))
    assert result.trusted
    assert result.headline == judge(facts.evidence()).sentence
    assert "9 networks of 1,000 connected FLOPs" in result.text
    assert "of the scores of 30 candidates" in result.text
    assert "for 5 epochs and measured on the 287 validation images" in result.text
    assert "0.80 (95 % interval 0.60 to 0.90)" in result.text
    assert "Of connected parameters, the best baseline, it is 0.30" in result.text
    assert "not certain" not in result.text


def test_a_baseline_inside_the_interval_leaves_a_doubt() -> None:
    result = verdict(audit((0.8, 0.4, 0.9), 0.7), RunFacts())
    assert result.trusted
    assert "not certain" in result.text


def test_nothing_is_counted_where_all_costs_are_equal() -> None:
    facts = audit((0.8, 0.6, 0.9), 0.0)
    costs = {name: [1000.0] * 9 for name in facts.costs}
    assert "as many parameters and FLOPs" in verdict(replace(facts, costs=costs), RunFacts()).text
    assert "as many parameters and FLOPs" not in verdict(facts, RunFacts()).text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (audit((0.4, 0.1, 0.8), 0.5), "Do not trust"),
        (audit((0.4, -0.1, 0.8), 0.1), "Not shown"),
        (audit((0.8, 0.6, 0.9), 0.3, values=[90.0] * 9), "came out equal"),
        (audit((0.8, 0.6, 0.9), 0.3, values=[1.0, 2.0]), "2 trained networks are too few"),
        (audit((0.8, 0.6, 0.9), 0.3, found=5000.0), "differ in cost"),
        (audit((0.8, 0.6, 0.9), 0.3, found=None), "differ in cost"),
    ],
)
def test_scores_are_not_trusted(facts: AuditFacts, words: str) -> None:
    result = verdict(facts, RunFacts())
    assert not result.trusted
    assert words in result.headline


def test_the_summary_says_what_every_number_was_measured_on(make_run: MakeRun) -> None:
    text = write_report(make_run()).read_text()
    assert "on 287 validation images with the supernet&#x27;s weights" in text
    assert "95.30 ± 0.30 % (3 seeds) accuracy on the 359 test images" in text
    assert "random architecture reaches 90.30 ± 0.30 % (3 seeds)" in text


@pytest.mark.parametrize(
    ("found", "other", "words"),
    [
        ([95.0, 95.1, 95.2], [90.0, 90.1, 90.2], "5.00 points higher, a clear difference"),
        ([90.0, 90.1, 90.2], [95.0, 95.1, 95.2], "5.00 points lower, a clear difference"),
        ([95.0, 96.0, 97.0], [94.9, 95.9, 96.9], "0.10 points higher, no clear difference"),
        ([95.0, 96.0], [95.0, 96.0], "the same on average, no clear difference"),
        ([95.0, 95.0], [95.0, 95.0], "the same on average, no clear difference"),
        ([95.0, 95.0], [94.0, 94.0], "1.00 points higher, a clear difference"),
        ([95.0], [94.0], "1.00 points higher, but one seed says nothing"),
    ],
)
def test_differences_are_called_clear_only_where_they_are(
    found: list[float], other: list[float], words: str
) -> None:
    assert words in comparison(found, other, ACCURACY)


@pytest.mark.parametrize(
    ("evaluator", "name"),
    [
        (InheritedSettings(), "validation accuracy, supernet (%)"),
        (InheritedSettings(score="loss"), "negative validation loss, supernet"),
        (StandaloneSettings(), "validation accuracy, 5 epochs (%)"),
        (TableSettings(table="x/y.csv", column="c"), "c in y.csv"),
        (SynflowSettings(), "SynFlow, untrained network"),
        (NaswotSettings(), "NASWOT, untrained network"),
    ],
)
def test_scores_have_a_name(evaluator: EvaluatorSettings, name: str) -> None:
    assert score_name(Recipe(evaluator=evaluator)) == name


def test_a_hand_given_architecture_without_a_search() -> None:
    row = Retrained("given", "given by hand", [90.0], "90.00", 1, 1, "g")
    text = " ".join(summary(Recipe(), RunFacts(retrained=[row], data={"test": 10}), ACCURACY))
    assert text.startswith("Trained from scratch, the architecture given by hand reaches")


@pytest.mark.parametrize(("stock", "first"), [(91.0, True), (90.0, False), (89.0, False)])
def test_a_stock_model_that_wins_is_named_first(stock: float, first: bool) -> None:
    rows = [
        Retrained("found", "found by the search", [90.0], "90.00", 1, 1, "g"),
        Retrained("timm:resnet18", "stock model resnet18", [stock], "", 2, 1_000, "timm:resnet18"),
    ]
    text = summary(Recipe(), RunFacts(retrained=rows, data={"test": 10}), ACCURACY)[0]
    assert text.startswith("Stock model resnet18 did better than what the search found") is first
    assert ("1,000 FLOPs" in text and "label=timm:resnet18" in text) is first
