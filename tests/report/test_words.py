"""What a report claims: when scores are trusted, and when a difference is called one."""

from __future__ import annotations

import pytest

from fewshot_core.pipeline.report import write_report
from fewshot_core.recipe.schema import EvaluatorSettings, Recipe
from fewshot_core.report.facts import AuditFacts, Correlation, Retrained, RunFacts
from fewshot_core.report.words import comparison, score_name, summary, verdict

from .conftest import MakeRun


def audit(tau: tuple[float, float, float], baseline: float) -> AuditFacts:
    return AuditFacts(
        5.0,
        [1.0, 2.0, 3.0],
        [1.0, 2.0, 3.0],
        {},
        Correlation(*tau),
        {"connected_params": Correlation(baseline, baseline - 0.1, baseline + 0.1)},
    )


def test_scores_are_trusted_when_they_beat_chance_and_the_baseline() -> None:
    result = verdict(audit((0.8, 0.6, 0.9), 0.3), RunFacts(data={"validation": 287}))
    assert result.trusted
    assert "may be trusted" in result.headline
    assert "better than the baseline" in result.text
    assert "287 validation images" in result.text
    assert "not certain" not in result.text


def test_a_baseline_inside_the_interval_leaves_a_doubt() -> None:
    result = verdict(audit((0.8, 0.4, 0.9), 0.7), RunFacts())
    assert result.trusted
    assert "not certain" in result.text


@pytest.mark.parametrize(
    ("tau", "baseline", "words"),
    [
        ((0.4, -0.1, 0.8), 0.1, ["interval includes 0"]),
        ((0.4, 0.0, 0.8), 0.1, ["interval includes 0"]),
        ((0.4, 0.1, 0.8), 0.5, ["do not beat the number of connected parameters"]),
        ((0.5, 0.1, 0.8), 0.5, ["do not beat"]),
        ((0.4, -0.1, 0.8), 0.5, ["interval includes 0", "do not beat"]),
        ((-0.6, -0.9, -0.2), -0.8, ["below 0", "worse networks first"]),
        ((0.0, float("nan"), float("nan")), -0.5, ["interval includes 0"]),
    ],
)
def test_scores_are_not_trusted(
    tau: tuple[float, float, float], baseline: float, words: list[str]
) -> None:
    result = verdict(audit(tau, baseline), RunFacts())
    assert not result.trusted
    assert "do not trust" in result.headline
    assert all(word in result.text for word in words)


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
    assert words in comparison(found, other, "accuracy")


@pytest.mark.parametrize(
    ("evaluator", "name"),
    [
        (EvaluatorSettings(), "validation accuracy, supernet (%)"),
        (EvaluatorSettings(score="loss"), "negative validation loss, supernet"),
        (EvaluatorSettings(name="standalone"), "validation accuracy, 5 epochs (%)"),
        (EvaluatorSettings(name="table", table="x/y.csv", column="c"), "c in y.csv"),
    ],
)
def test_scores_have_a_name(evaluator: EvaluatorSettings, name: str) -> None:
    assert score_name(Recipe(evaluator=evaluator)) == name


def test_a_hand_given_architecture_without_a_search() -> None:
    row = Retrained("given", "given by hand", [90.0], "90.00", 1, 1, "g")
    text = " ".join(summary(Recipe(), RunFacts(retrained=[row], data={"test": 10}), "accuracy"))
    assert text.startswith("Retrained from scratch, the architecture given by hand reaches")
