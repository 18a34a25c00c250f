"""The number of fuzzed inputs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import FUZZED

INPUTS = pytest.StashKey[int]()


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Any:
    """Counts one input."""
    stash, noted = request.config.stash, request.node.user_properties
    noted.append((FUZZED, 0))

    def count() -> None:
        stash[INPUTS] = stash.get(INPUTS, 0) + 1
        noted[-1] = (FUZZED, noted[-1][1] + 1)

    return count
