"""Hyperband's schedule against the paper's own example and its rule of promotion."""

from __future__ import annotations

import itertools

import pytest

from fewshot_core.search.strategies.brackets import Brackets, ladder
from fewshot_core.spaces.space import Architecture


def architecture(number: int) -> Architecture:
    return Architecture("s", (number,))


def play(brackets: Brackets, slots: int) -> list[tuple[Architecture, float]]:
    """Fill so many slots; new architectures are numbered, and the higher the number the better."""
    played = []
    for _ in range(slots):
        slot = brackets.slot()
        assert brackets.slot() == slot  # looking changes nothing
        one = slot.architecture or architecture(len(played))
        played.append((one, slot.budget))
        brackets.fill(one, float(one.choices[0]))
    return played


# Table 1 of Li et al. (2018): R = 81, eta = 3; for each bracket the pairs (n_i, r_i).
PAPER = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(34, 3), (11, 9), (3, 27), (1, 81)],
    [(15, 9), (5, 27), (1, 81)],
    [(8, 27), (2, 81)],
    [(5, 81)],
]


def test_the_brackets_of_the_paper() -> None:
    shares = ladder(1 / 81, 3)
    assert shares == pytest.approx([1 / 81, 1 / 27, 1 / 9, 1 / 3, 1])
    brackets = Brackets(shares, 3)
    for rungs in [*PAPER, PAPER[0]]:  # and over again
        for count, resource in rungs:
            budgets = [budget for _, budget in play(brackets, count)]
            assert budgets == pytest.approx([resource / 81] * count)


def test_the_best_third_is_promoted_and_nobody_else() -> None:
    brackets = Brackets(ladder(1 / 9, 3), 3)
    first = play(brackets, 9)
    second = play(brackets, 3)
    assert {a.choices[0] for a, _ in second} == {6, 7, 8}
    assert {a for a, _ in second} <= {a for a, _ in first}
    assert play(brackets, 1) == [(architecture(8), 1.0)]
    assert brackets.slot().architecture is None  # a new bracket


def test_of_equals_the_first_is_promoted() -> None:
    brackets = Brackets((1 / 3, 1.0), 3)
    for number in range(3):
        brackets.fill(architecture(number), 0.0)
    assert brackets.slot().architecture == architecture(0)


def test_what_has_no_score_comes_last() -> None:
    brackets = Brackets((1 / 3, 1.0), 3)
    for number, goodness in enumerate([float("-inf"), -5.0, float("-inf")]):
        brackets.fill(architecture(number), goodness)
    assert brackets.slot().architecture == architecture(1)


def test_with_one_budget_everybody_has_it() -> None:
    played = play(Brackets((1.0,), 3), 50)
    assert {budget for _, budget in played} == {1.0}
    assert len({one for one, _ in played}) == 50


@pytest.mark.parametrize(("least", "eta"), [(1 / 9, 3), (0.11, 3), (0.05, 2), (1 / 64, 4), (1, 3)])
def test_a_ladder(least: float, eta: int) -> None:
    shares = ladder(least, eta)
    assert shares[-1] == 1.0
    assert shares[0] >= least - 1e-9
    assert shares[0] / eta < least  # no further rung would fit
    for low, high in itertools.pairwise(shares):
        assert high / low == pytest.approx(eta)
