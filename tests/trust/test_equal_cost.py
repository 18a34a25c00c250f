from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewshot_core.trust.equal_cost import STEPS, choose_spread, near_cost

# --- the window


@pytest.mark.parametrize(
    ("costs", "wanted", "expected"),
    [
        # Enough of exactly the same cost: whatever else is near stays out.
        ([100, 100.1, 100, 100], 3, [0, 2, 3]),
        # Both sides count, and the border of a step belongs to it.
        ([100, 99.5, 100.5, 100.6], 3, [0, 1, 2]),
        ([100, 99.5, 100.5, 100.6], 4, [0, 1, 2, 3]),
        ([100, 95, 105, 94.9], 3, [0, 1, 2]),
        ([100, 75, 125, 74.9, 125.1], 3, [0, 1, 2]),
        # Not enough even in the widest: all that is in it.
        ([100, 75, 125, 74.9, 125.1], 5, [0, 1, 2]),
    ],
)
def test_the_narrowest_window_that_holds_enough(
    costs: list[float], wanted: int, expected: list[int]
) -> None:
    assert near_cost(costs, 100, wanted, 2) == expected


def test_the_nearest_where_no_window_holds_the_least() -> None:
    costs = [300.0, 100.0, 60.0, 135.0, 65.0]
    assert near_cost(costs, 100, 9, 3) == [1, 3, 4]  # 35 away on both sides, and 40 is not
    assert near_cost(costs, 100, 9, 2) == [1, 3]  # the first of equals
    assert near_cost(costs, 100, 9, 99) == [0, 1, 2, 3, 4]
    assert near_cost([], 100, 9, 3) == []


def test_networks_may_cost_nothing() -> None:
    assert near_cost([0.0, 5.0, 0.0], 0.0, 2, 2) == [0, 2]


@given(
    st.lists(st.integers(1, 400), max_size=40),
    st.integers(1, 400),
    st.integers(1, 12),
    st.integers(0, 36),
)
def test_a_window_has_no_holes(costs: list[int], middle: int, least: int, more: int) -> None:
    inside = near_cost(costs, middle, least + more, least)
    assert inside == sorted(set(inside))
    assert len(inside) >= min(least, len(costs))
    reach = max((abs(costs[i] - middle) for i in inside), default=0)
    left_out = [abs(c - middle) for i, c in enumerate(costs) if i not in inside]
    assert all(distance >= reach for distance in left_out)
    if reach > STEPS[-1] * middle:  # left only for want of networks
        assert len(inside) == min(least, len(costs))


# --- the spread


def test_even_distances_from_the_worst_to_the_best() -> None:
    scores = [float(s) for s in (3, 0, 4, 1, 8, 2, 6, 5, 7)]
    assert [scores[i] for i in choose_spread(scores, 3)] == [0, 4, 8]
    assert [scores[i] for i in choose_spread(scores, 5)] == [0, 2, 4, 6, 8]
    assert [scores[i] for i in choose_spread(scores, 2)] == [0, 8]
    assert [scores[i] for i in choose_spread(scores, 99)] == sorted(scores)
    assert choose_spread([], 4) == []


def test_ranks_count_and_not_values() -> None:
    assert choose_spread([0.0, 1.0, 2.0, 3.0, 1000.0], 3) == [0, 2, 4]


def test_the_first_of_equals_is_the_best() -> None:
    assert choose_spread([1.0, 1.0, 0.0, 1.0], 2) == [2, 0]


@given(st.lists(st.integers(0, 5), max_size=50), st.integers(2, 20))
def test_nobody_is_taken_twice(scores: list[int], count: int) -> None:
    taken = choose_spread(scores, count)
    assert len(set(taken)) == len(taken) == min(count, len(scores))
    values = [scores[i] for i in taken]
    assert values == sorted(values)
    if scores:
        assert {min(scores), max(scores)} <= set(values)
