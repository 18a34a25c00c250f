"""Rank figures against hand computation, a quadratic reference, and their invariances."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fewshot_core.errors import DataError
from fewshot_core.report.ranking_table import ranking_markdown, ranking_table
from fewshot_core.trust import correlation
from fewshot_core.trust.ranking import (
    IsoCost,
    RankFigures,
    bootstrap_tau,
    bootstrap_tau_difference,
    group_by_cost,
    iso_cost_tau,
    kendall,
    random_figures,
    rank_figures,
    spearman,
)

# Few distinct values, so that ties of every kind are common.
PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=25)


def reference_tau(scores: Sequence[float], truth: Sequence[float]) -> float:
    """Tau-b from its definition, looking at every pair."""
    difference = untied_scores = untied_truth = 0
    for i in range(len(scores)):
        for j in range(i):
            a = (scores[i] > scores[j]) - (scores[i] < scores[j])
            b = (truth[i] > truth[j]) - (truth[i] < truth[j])
            difference += a * b
            untied_scores += a * a
            untied_truth += b * b
    if not untied_scores or not untied_truth:
        return 0.0
    return difference / math.sqrt(untied_scores * untied_truth)


def figures(scores: Any, truth: Any, **others: Any) -> RankFigures:
    count = len(truth)
    defaults = {"costs": np.ones(count), "connected": [True] * count, "canonical": range(count)}
    return rank_figures(scores, truth, **(defaults | others))


# --- correlations -------------------------------------------------------------------------------


def test_tau_b_with_ties_by_hand() -> None:
    # Six pairs: one tied in scores, one tied in truth, three concordant, one discordant.
    # (3 - 1) / sqrt(5 * 5)
    assert kendall([1, 2, 2, 3], [1, 3, 2, 2]) == pytest.approx(2 / 5)
    # Truth in order, one tie in scores: 5 concordant of 6, and 5 untied in scores.
    assert kendall([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(5 * 6))


def test_rho_with_ties_by_hand() -> None:
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert spearman([1, 2, 2, 9], [10, 20, 30, 40]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


@given(PAIRS)
def test_tau_equals_its_definition(pairs: list[tuple[int, int]]) -> None:
    scores, truth = zip(*pairs, strict=True)
    assert kendall(scores, truth) == pytest.approx(reference_tau(scores, truth), abs=1e-12)


@given(PAIRS)
def test_monotone_transforms_change_nothing(pairs: list[tuple[int, int]]) -> None:
    scores, truth = np.array(pairs, dtype=float).T
    for measure in (kendall, spearman):
        expected = measure(scores, truth)
        assert measure(np.exp(scores), truth**3) == pytest.approx(expected, abs=1e-12)
        assert measure(-scores, truth) == pytest.approx(-expected, abs=1e-12)
        assert measure(truth, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("measure", [kendall, spearman])
def test_conventions_at_the_edges(measure: Any) -> None:
    assert measure([1, 2, 3], [4, 5, 6]) == pytest.approx(1)
    assert measure([3, 2, 1], [4, 5, 6]) == pytest.approx(-1)
    assert measure([7, 7, 7], [4, 5, 6]) == 0.0
    assert measure([4, 5, 6], [0.1, 0.1, 0.1]) == 0.0
    assert math.isnan(measure([1], [1]))
    assert math.isnan(measure([], []))


@pytest.mark.parametrize("measure", [kendall, spearman])
@pytest.mark.parametrize(
    ("scores", "truth", "words"),
    [
        ([1, math.nan, math.inf], [1, 2, 3], "scores hold 2 values .* nan at position 1"),
        ([1, 2, 3], [1, 2, -math.inf], "truth hold 1 values .* -inf at position 2"),
        ([1, 2], [1, 2, 3], r"truth do not fit .* shape \[3\] .* shape \[2\]"),
        ([[1, 2]], [1, 2], "scores do not fit .* one dimension"),
        (["high", 2], [1, 2], "scores are not numbers"),
    ],
)
def test_bad_arrays(measure: Any, scores: Any, truth: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        measure(scores, truth)


# --- iso-cost -----------------------------------------------------------------------------------

# Cost 10: tau 1/3 over three; cost 20: tau -1 over two; cost 30: one alone.
SCORES = [1, 2, 3, 1, 2, 9]
TRUTH = [1, 3, 2, 2, 1, 9]
COSTS = [10, 10, 10, 20, 20, 30]


def test_iso_cost_by_hand() -> None:
    result = iso_cost_tau(SCORES, TRUTH, COSTS, [True] * 6, minimum=2)
    assert result == IsoCost(pytest.approx((3 * (1 / 3) + 2 * -1) / 5), 2, 5)
    only_three = iso_cost_tau(SCORES, TRUTH, COSTS, [True] * 6, minimum=3)
    assert only_three == IsoCost(pytest.approx(1 / 3), 1, 3)


def test_iso_cost_leaves_disconnected_cells_out() -> None:
    connected = [True, False, True, True, True, True]
    result = iso_cost_tau(SCORES, TRUTH, COSTS, connected, minimum=2)
    assert result == IsoCost(pytest.approx((2 * 1 + 2 * -1) / 4, abs=1e-12), 2, 4)
    assert iso_cost_tau(SCORES, TRUTH, COSTS, connected, minimum=3).groups == 0


def test_iso_cost_without_a_group_is_nan() -> None:
    for connected, minimum in (([True] * 6, 30), ([False] * 6, 2), ([True] * 6, 4)):
        result = iso_cost_tau(SCORES, TRUTH, COSTS, connected, minimum=minimum)
        assert math.isnan(result.tau)
        assert (result.groups, result.architectures) == (0, 0)
    # One architecture has no tau; a minimum of 1 must not turn the mean into nan.
    assert iso_cost_tau(SCORES, TRUTH, COSTS, [True] * 6, minimum=1).groups == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.booleans()),
        min_size=1,
        max_size=40,
    ),
    st.integers(2, 6),
)
def test_iso_cost_equals_its_definition(
    cells: list[tuple[int, int, int, bool]], minimum: int
) -> None:
    groups: dict[int, list[tuple[int, int]]] = {}
    for score, truth, cost, connected in cells:
        if connected:
            groups.setdefault(cost, []).append((score, truth))
    kept = [group for group in groups.values() if len(group) >= minimum]
    scores, truth, costs, connected = zip(*cells, strict=True)
    result = iso_cost_tau(scores, truth, costs, connected, minimum)
    assert (result.groups, result.architectures) == (len(kept), sum(map(len, kept)))
    if kept:
        total = sum(len(g) * reference_tau(*zip(*g, strict=True)) for g in kept)
        assert result.tau == pytest.approx(total / result.architectures, abs=1e-12)


def test_the_upper_half_by_cost_is_above_the_median_of_the_connected() -> None:
    costs = [1, 1, 2, 2, 3, 3, 9, 9, 9]
    connected = [True] * 6 + [False, True, False]
    groups = group_by_cost(costs, connected, 2)
    assert [group.tolist() for group in groups] == [[0, 1], [2, 3], [4, 5]]
    assert [group.tolist() for group in group_by_cost(costs, connected, 2, upper=True)] == [[4, 5]]
    scores, truth = [1, 2, 1, 2, 2, 1, 0, 0, 0], range(9)
    upper = iso_cost_tau(scores, truth, costs, connected, 2, upper=True)
    assert upper == IsoCost(pytest.approx(-1), 1, 2)
    found = figures(scores, truth, costs=costs, connected=connected, iso_minimum=2)
    assert (found.upper_tau, found.upper_groups, found.upper_count) == (-1, 1, 2)
    assert found.iso_cost_tau == pytest.approx(1 / 3)


def test_nearly_equal_costs_make_a_group() -> None:
    costs = [100, 109, 110, 111, 300, 331, 0, 0]
    every = [True] * 8
    groups = [group.tolist() for group in group_by_cost(costs, every, 2, 0.1)]
    assert groups == [[6, 7], [0, 1, 2]]
    assert [group.tolist() for group in group_by_cost(costs, every, 2)] == [[6, 7]]
    assert group_by_cost(costs, [False] * 8, 2) == []


def test_cost_as_predictor_has_no_iso_cost_rank_information() -> None:
    generator = np.random.default_rng(0)
    costs = generator.integers(1, 8, 700) / 7
    result = figures(costs, costs + 0.1 * generator.normal(size=700), costs=costs)
    assert result.tau > 0.5
    assert result.iso_cost_tau == 0.0
    assert (result.iso_cost_groups, result.iso_cost_count) == (7, 700)


# --- all figures --------------------------------------------------------------------------------


def test_perfect_predictor() -> None:
    truth = np.random.default_rng(1).permutation(250) / 3
    result = figures(np.exp(truth / 40), truth)
    assert result.count == result.distinct_count == 250
    for name in ("tau", "spearman", "tau_distinct", "tau_top10", "spearman_top10", "tau_top1"):
        assert getattr(result, name) == pytest.approx(1), name
    assert result.best_true == result.best_true_low == result.best_true_high == truth.max()
    assert (result.best_ties, result.best_possible) == (1, truth.max())


def test_distinct_networks_count_once_with_their_means() -> None:
    scores = [1, 3, 2.5, 0, 9]
    truth = [10, 20, 12, 11, 30]
    result = figures(scores, truth, canonical=["x", "x", "y", "z", "w"])
    means = ([2, 2.5, 0, 9], [15, 12, 11, 30])
    assert result.distinct_count == 4
    assert result.tau_distinct == pytest.approx(reference_tau(*means))
    assert result.spearman_distinct == pytest.approx(spearman(*means))
    assert result.tau == pytest.approx(reference_tau(scores, truth))


def test_equal_scores_stay_tied_whatever_the_class_sizes() -> None:
    """0.1 summed three times and divided by three is more than 0.1."""
    canonical = [*"aaabbbbbbbc"]
    result = figures([0.1] * 11, range(11), canonical=canonical)
    assert result.tau_distinct == 0.0
    swapped = figures([0.1, 0.2, 0.7, 0.7, 0.2, 0.1], range(6), canonical=[*"aaabbb"])
    assert swapped.tau_distinct == 0.0


@pytest.mark.parametrize(("count", "top10", "top1"), [(25, 3, 1), (70, 7, 1), (101, 11, 2)])
def test_top_shares_are_rounded_up(count: int, top10: int, top1: int) -> None:
    truth = np.random.default_rng(2).permutation(count)
    scores = np.random.default_rng(3).normal(size=count)
    result = figures(scores, truth)
    for size, name in ((top10, "top10"), (top1, "top1")):
        best = sorted(range(count), key=lambda index: -truth[index])[:size]
        for measure, prefix in ((kendall, "tau"), (spearman, "spearman")):
            expected = measure(scores[best], truth[best])
            assert getattr(result, f"{prefix}_{name}") == pytest.approx(expected, nan_ok=True)


def test_top_share_looks_only_at_the_truly_best() -> None:
    """Right about the bad ones, wrong about the best: the top figures must say so."""
    truth = np.arange(100.0)
    scores = np.where(truth >= 90, 200 - truth, truth)
    result = figures(scores, truth)
    assert result.tau > 0.95
    assert result.tau_top10 == pytest.approx(-1)


def test_predicted_best_is_the_mean_over_ties() -> None:
    result = figures([5, 5, 1, 5], [0.2, 0.4, 0.9, 0.9])
    assert result.best_true == pytest.approx(0.5)
    assert (result.best_true_low, result.best_true_high, result.best_ties) == (0.2, 0.9, 3)
    assert result.best_possible == 0.9
    near = figures([5, 5 - 1e-12, 1], [0.2, 0.9, 0.3])
    assert (near.best_true, near.best_ties) == (0.2, 1)


def test_figures_are_json() -> None:
    found = figures([1, 2, 3], [1, 3, 2]).to_json()
    assert found["tau_top1"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["tau"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"costs": [1, 2]}, "costs do not fit"),
        ({"costs": [1, math.nan, 2]}, "costs hold 1 values"),
        ({"connected": [True]}, "connected do not fit"),
        ({"canonical": [1, 2]}, "canonical ids do not fit"),
    ],
)
def test_figures_refuse_what_does_not_fit(others: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        figures([1, 2, 3], [1, 2, 3], **others)


def test_no_architecture_at_all() -> None:
    with pytest.raises(DataError, match="one architecture or more"):
        figures([], [])


def test_a_whole_benchmark_is_ranked_in_well_under_a_second() -> None:
    count = 15_625
    generator = np.random.default_rng(0)
    truth = generator.normal(size=count).round(2)
    scores = truth + generator.normal(size=count)
    canonical = [f"net {number}" for number in generator.integers(0, 6_466, count)]
    start = time.perf_counter()
    figures(scores, truth, costs=generator.integers(0, 60, count), canonical=canonical)
    assert time.perf_counter() - start < 1


# --- random baseline and bootstrap --------------------------------------------------------------


def test_random_baseline() -> None:
    truth = np.random.default_rng(0).normal(size=400)
    others = {"costs": np.repeat([1, 2], 200), "connected": [True] * 400, "canonical": range(400)}
    baseline = random_figures(truth, seeds=5, **others)
    assert baseline.seeds == 5
    assert baseline == random_figures(truth, seeds=5, **others)
    assert abs(baseline.mean.tau) < 0.1
    assert 0 < baseline.std.tau < 0.1
    assert baseline.std.tau_top10 > baseline.std.tau
    assert (baseline.mean.count, baseline.mean.best_ties, baseline.mean.iso_cost_count) == (
        400,
        1,
        400,
    )
    assert (baseline.std.count, baseline.std.best_possible) == (0, 0)

    runs = [kendall(np.random.default_rng(seed).permutation(400), truth) for seed in range(5)]
    assert baseline.mean.tau == pytest.approx(np.mean(runs))
    assert baseline.std.tau == pytest.approx(np.std(runs, ddof=1))
    assert math.isnan(random_figures(truth, seeds=1, **others).std.tau)
    with pytest.raises(DataError, match="one seed"):
        random_figures(truth, seeds=0, **others)


def test_bootstrap_interval() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=200)
    scores = truth + generator.normal(size=200)
    low, high = bootstrap_tau(scores, truth, samples=200)
    assert low < kendall(scores, truth) < high
    assert 0.05 < high - low < 0.25
    assert (low, high) == bootstrap_tau(scores, truth, samples=200)
    assert (low, high) != bootstrap_tau(scores, truth, samples=200, seed=1)
    narrow = bootstrap_tau(scores, truth, samples=200, level=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert all(map(math.isnan, bootstrap_tau([1], [1])))
    for wrong in ({"samples": 0}, {"level": 1.0}, {"level": 95}):
        with pytest.raises(DataError, match="bootstrap"):
            bootstrap_tau(scores, truth, **wrong)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_bootstrap_of_a_perfect_ranking_is_exact(seed: int) -> None:
    interval = bootstrap_tau(range(30), range(30), samples=20, seed=seed)
    assert interval == pytest.approx((1, 1))


def test_what_two_scores_have_in_common_is_not_in_their_difference() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=60)
    scores = truth + generator.normal(size=60)
    others = scores + 0.2 * generator.normal(size=60)
    low, high = bootstrap_tau_difference(scores, others, truth, samples=300)
    assert low < kendall(scores, truth) - kendall(others, truth) < high
    alone = bootstrap_tau(scores, truth, samples=300)
    assert high - low < 0.5 * (alone[1] - alone[0])
    mirrored = bootstrap_tau_difference(others, scores, truth, samples=300)
    assert mirrored == pytest.approx((-high, -low))
    assert bootstrap_tau_difference(scores, scores, truth, samples=20) == (0.0, 0.0)
    assert bootstrap_tau_difference(truth, -truth, truth, samples=20) == pytest.approx((2, 2))
    assert all(map(math.isnan, bootstrap_tau_difference([1], [2], [1])))
    with pytest.raises(DataError):
        bootstrap_tau_difference(scores, others[:-1], truth)


# --- tables -------------------------------------------------------------------------------------


def rows() -> dict[str, RankFigures]:
    truth = np.arange(200.0)
    return {
        "few-shot [k=5]": figures(truth, truth),
        "a|b": figures(np.minimum(truth, 197), truth),
    }


def test_markdown_has_one_row_per_predictor() -> None:
    lines = ranking_markdown(rows(), "equal cost").splitlines()
    assert lines[0].startswith("| predictor | tau | tau distinct | iso-cost tau | upper half |")
    ones = " | ".join(["1.000"] * 3)
    assert lines[2] == f"| few-shot [k=5] | {ones} | n/a | {ones} | 199 | 1 |"
    assert lines[3].startswith(r"| a\|b | 1.000 |")
    assert lines[3].endswith("| 0.000 | 198 (197 to 199) | 3 |")
    assert lines[5].startswith("200 architectures, 200 distinct networks; best true score 199.")
    assert lines[5].endswith("(equal cost): 200 in 1 groups, 0 in 0 of the upper half by cost.")


def test_markdown_of_different_benchmarks_has_no_common_caption() -> None:
    mixed = rows() | {"small": figures([1, 2, 3], [-1, -2, -3])}
    lines = ranking_markdown(mixed, "equal cost").splitlines()
    assert len(lines) == 5
    assert lines[4] == "| small | -1.000 | -1.000 | n/a | n/a | -1.000 | n/a | n/a | -3 | 1 |"


def test_terminal_table_shows_names_as_they_are() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(ranking_table(rows(), "equal cost"))
    text = console.export_text()
    assert "few-shot [k=5]" in text
    assert "198 (197 to 199)" in text


def test_terminal_table_has_every_column_at_80() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(ranking_table(rows(), "equal cost"))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert {"tau", "distinct", "rho", "predicted", "ties"} <= set(text.split())


@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("size", [2, 3, 10, 60])
def test_taus_resampled_at_once_are_those_of_each(
    monkeypatch: pytest.MonkeyPatch, size: int, decimals: int
) -> None:
    """To the last bit, with ties and without."""
    generator = np.random.default_rng(size)
    scores, truth = generator.normal(size=size).round(decimals), generator.normal(size=size)
    at_once = correlation._resampled_taus(scores, truth, 100, 1, 0.95)
    monkeypatch.setattr(correlation, "BY_PAIRS", 0)
    assert (at_once == correlation._resampled_taus(scores, truth, 100, 1, 0.95)).all()
    assert size < 10 or len(set(at_once)) > 10
