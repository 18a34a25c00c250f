"""The number of fuzzed inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.conftest import FUZZED

TIMES = int(os.environ.get("FEWSHOT_FUZZ", "1"))
"""What the number of inputs is multiplied by."""


class Inputs:
    """The inputs of a test: calling it counts one.

    Args:
        noted: What the test notes with its report.
    """

    def __init__(self, noted: list[tuple[str, object]]) -> None:
        self._noted = noted
        self.wanted = self.count = 0
        noted.append((FUZZED, 0))

    def __call__(self) -> None:
        self.count += 1
        self._noted[-1] = (FUZZED, self.count)

    def of(self, number: int) -> Any:
        """Settings for so many inputs, of which none may be missing when the test has ended."""
        self.wanted += number * TIMES
        return settings(
            max_examples=number * TIMES,
            deadline=None,
            database=None,
            derandomize=TIMES == 1,  # the same inputs on every machine, unless more are asked for
            suppress_health_check=list(HealthCheck),
        )


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Iterator[Inputs]:
    """Counts the inputs of the test."""
    inputs = Inputs(request.node.user_properties)
    yield inputs
    assert inputs.count >= inputs.wanted
