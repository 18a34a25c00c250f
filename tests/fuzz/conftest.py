"""The number of fuzzed inputs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FUZZED

INPUTS = pytest.StashKey[Counter[Path]]()
"""By file of tests."""


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Any:
    """Counts one input."""
    stash, noted = request.config.stash, request.node.user_properties
    noted.append((FUZZED, 0))

    def count() -> None:
        stash.setdefault(INPUTS, Counter())[request.path] += 1
        noted[-1] = (FUZZED, noted[-1][1] + 1)

    return count
