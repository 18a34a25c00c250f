from __future__ import annotations

import random

from fewshot_core.costs.pareto import pareto_front


def test_nothing_on_the_front_is_beaten_and_everything_else_is() -> None:
    rng = random.Random(0)
    points = [(rng.randrange(20), rng.randrange(20)) for _ in range(200)]
    front = pareto_front([cost for cost, _ in points], [score for _, score in points])
    chosen = [points[i] for i in front]
    assert chosen == sorted(chosen)

    def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
        return one[0] <= other[0] and one[1] >= other[1] and one != other

    assert not any(beats(point, on) for point in points for on in chosen)
    assert all(any(beats(on, point) or on == point for on in chosen) for point in points)


def test_an_example() -> None:
    costs = [3.0, 1.0, 2.0, 1.0, 3.0, 4.0]
    scores = [5.0, 1.0, 4.0, 2.0, 5.0, 4.5]
    assert pareto_front(costs, scores) == [3, 2, 0]


def test_of_equals_one_is_on_the_front() -> None:
    assert pareto_front([1, 1, 2], [5, 5, 5]) == [0]
    assert pareto_front([], []) == []
    assert pareto_front([1, 1, 1], [5, 5, 5], [3, 2, 2]) == [1]
    assert pareto_front([2, 1, 1], [5, 5, 6], [0, 0, 9]) == [2]
