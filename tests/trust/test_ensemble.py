from __future__ import annotations

import numpy as np
import pytest

from fewshot_core.errors import DataError
from fewshot_core.trust.ensemble import COST_WEIGHT, rank_ensemble
from fewshot_core.trust.ranking import kendall

EVERY = np.ones(4, dtype=bool)


def test_the_registered_weight_is_unchanged() -> None:
    """It was fixed on 2026-11-24; another weight would be chosen with results in view."""
    assert COST_WEIGHT == 1.0


def test_two_rankings_are_added() -> None:
    # Ranks of the scores 4 3 2 1, of the costs 1 2.5 2.5 4, in quarters.
    found = rank_ensemble([0.9, 0.5, 0.3, 0.1], [10, 20, 20, 30], EVERY)
    assert found == pytest.approx([5 / 4, 5.5 / 4, 4.5 / 4, 5 / 4])


def test_only_ranks_matter() -> None:
    rng = np.random.default_rng(0)
    scores, costs = rng.normal(size=50), rng.integers(1, 6, 50)
    mask = np.ones(50, dtype=bool)
    one = rank_ensemble(scores, costs, mask)
    assert rank_ensemble(np.exp(scores), costs * 1000 + 7, mask) == pytest.approx(one)


def test_equal_costs_are_ordered_by_the_scores() -> None:
    scores = np.random.default_rng(1).normal(size=30)
    found = rank_ensemble(scores, np.full(30, 5.0), np.ones(30, dtype=bool))
    assert kendall(found, scores) == 1.0


def test_unconnected_architectures_come_last_and_equal() -> None:
    mask = np.array([True, False, False, True])
    found = rank_ensemble([0.1, 9.0, 8.0, 0.2], [1, 99, 98, 1], mask)
    assert found[1] == found[2] < min(found[0], found[3])


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(DataError):
        rank_ensemble([1.0, 2.0], [1.0], [True, True])
    with pytest.raises(DataError, match="connected"):
        rank_ensemble([1.0, 2.0], [1.0, 2.0], [True])
