from __future__ import annotations

import math
import random
import statistics

import pytest

from fewshot_core.trust.paired import LEAST, compare_paired, correct_by_holm


def test_the_p_value_is_that_of_students_formula() -> None:
    a = {0: 90.0, 1: 91.5, 2: 89.0, 3: 92.0}
    b = {0: 91.0, 1: 93.0, 2: 89.5, 3: 94.0, 7: 0.0}  # 7 has no partner
    found = compare_paired(a, b)
    gaps = [1.0, 1.5, 0.5, 2.0]
    mean, error = statistics.mean(gaps), statistics.stdev(gaps) / 2
    assert (found.seeds, found.tested) == (4, True)
    assert found.mean == pytest.approx(mean)
    # The 97.5 % quantile of Student's t with three degrees of freedom, from tables: 3.182.
    assert found.high - found.mean == pytest.approx(3.182446 * error, rel=1e-5)
    assert found.low + found.high == pytest.approx(2 * mean)
    # Its distribution function with three degrees of freedom has a closed form.
    t = mean / error
    x = t / math.sqrt(3)
    cdf = 0.5 + (x / (1 + x * x) + math.atan(x)) / math.pi
    assert found.p == pytest.approx(2 * (1 - cdf), rel=1e-6)


def test_pairs_see_what_the_spread_of_seeds_hides() -> None:
    rng = random.Random(0)
    a = {seed: 90 + rng.gauss(0, 5) for seed in range(6)}
    b = {seed: value + 1 + rng.gauss(0, 0.1) for seed, value in a.items()}
    assert compare_paired(a, b).p < 0.001
    shuffled = dict(zip(a, [b[(seed + 3) % 6] for seed in a], strict=True))
    assert compare_paired(a, shuffled).p > 0.05


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ({}, {0: 1.0}, "no common seed"),
        ({0: 1.0}, {1: 1.0}, "no common seed"),
        ({0: 1.0, 1: 2.0}, {0: 3.0, 1: 2.0}, f"too few common seeds (least: {LEAST})"),
        ({0: 1.0, 1: 2.0, 2: 0.1}, {0: 1.0, 1: 2.0, 2: 0.1}, "no difference at any seed"),
        ({0: 1.0, 1: 2.0, 2: 0.1}, {0: 1.3, 1: 2.3, 2: 0.4}, "the same at every seed"),
    ],
)
def test_nothing_is_tested_where_nothing_can_be(
    a: dict[int, float], b: dict[int, float], why: str
) -> None:
    found = compare_paired(a, b)
    assert not found.tested
    assert math.isnan(found.p)
    assert why in found.why


def test_holm() -> None:
    assert correct_by_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert correct_by_holm([0.5, math.nan, 0.9])[0] == pytest.approx(1.0)
    assert math.isnan(correct_by_holm([math.nan, 0.2])[0])
    assert correct_by_holm([math.nan, 0.2])[1] == pytest.approx(0.2)
    assert correct_by_holm([]) == []
