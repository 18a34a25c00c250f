"""Learning rates by complexity."""

from __future__ import annotations

import random

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from fewshot_core.recipe.trainings import SupernetSettings
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, Decision, SearchSpace
from fewshot_core.training.classification import ClassificationObjective
from fewshot_core.training.objective import PacedObjective, learning_rate
from fewshot_core.training.pace import LARGEST, SMALLEST, make_pace

WIDTHS = (10, 20, 40)
SPACE = SearchSpace("widths", [Decision("one", WIDTHS), Decision("two", WIDTHS)])
ROOT = Region.root(SPACE)


def cost(architecture: Architecture) -> float:
    one, two = architecture.choices
    return float(one) * float(two)


def of(one: int, two: int) -> Architecture:
    return SPACE.architecture({"one": one, "two": two})


def test_exponents_are_linear_in_the_logarithm_of_the_cost() -> None:
    pace = make_pace(ROOT, cost)
    assert pace([of(10, 10)]) == SMALLEST
    assert pace([of(40, 40)]) == LARGEST
    assert pace([of(20, 20)]) == pytest.approx((SMALLEST + LARGEST) / 2)
    assert pace([of(10, 40)]) == pace([of(20, 20)])


def test_several_architectures_have_the_mean() -> None:
    pace = make_pace(ROOT, cost)
    assert pace([of(10, 10), of(40, 40)]) == pytest.approx((SMALLEST + LARGEST) / 2)


def test_a_whole_model_and_a_space_of_one_cost_fall_in_a_line() -> None:
    assert make_pace(ROOT, cost)([None]) == 1.0
    assert make_pace(ROOT, lambda architecture: 7.0)([of(10, 20)]) == 1.0


def test_costs_beyond_the_ends_that_were_found_stay_in_range() -> None:
    """The ends are found decision by decision; a space may have others beyond."""

    def odd(architecture: Architecture) -> float:
        return 1000.0 if architecture == of(10, 40) else cost(architecture)

    pace = make_pace(ROOT, odd)
    assert all(
        LARGEST <= pace([ROOT.sample(random.Random(seed))]) <= SMALLEST for seed in range(50)
    )


def test_rates_of_small_architectures_fall_first() -> None:
    settings = SupernetSettings(lr=0.1, min_lr=0.01)

    def rates(exponent: float) -> list[float]:
        return [learning_rate(settings, step, 100, 10, exponent) for step in range(101)]

    small, large = rates(SMALLEST), rates(LARGEST)
    assert small[:11] == large[:11]  # the warm-up, and the first step after it
    assert all(s < v for s, v in zip(small[11:100], large[11:100], strict=True))
    assert small[100] == large[100] == pytest.approx(0.01)
    # Half way: (1 - 1/2) ** 4 of the span.
    assert small[55] == pytest.approx(0.01 + 0.09 * 0.5**4)


class Choosing(nn.Module):
    """A supernet that takes an architecture and is the same for all."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, architecture: Architecture) -> torch.Tensor:
        return self.layer(x)


@pytest.fixture
def objective() -> ClassificationObjective:
    return ClassificationObjective(Choosing(), SupernetSettings(lr=0.1), 10, Accelerator(cpu=True))


def rate_at(objective: ClassificationObjective, step: int, architecture: Architecture) -> float:
    batch = (torch.randn(8, 4), torch.randint(2, (8,)))
    objective.step(batch, [architecture], step)
    return float(objective.optimizer.param_groups[0]["lr"])


def test_an_objective_steps_at_the_pace_of_its_architecture(
    objective: ClassificationObjective,
) -> None:
    assert isinstance(objective, PacedObjective)
    plain = rate_at(objective, 5, of(10, 10))
    assert plain == pytest.approx(0.05)
    objective.pace = make_pace(ROOT, cost)
    assert rate_at(objective, 5, of(10, 10)) == pytest.approx(0.1 * 0.5**SMALLEST)
    assert rate_at(objective, 5, of(40, 40)) == pytest.approx(0.1 * 0.5**LARGEST)
