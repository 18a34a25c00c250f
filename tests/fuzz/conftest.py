"""The number of fuzzed inputs, and its printing."""

from __future__ import annotations

from typing import Any

import pytest

INPUTS = pytest.StashKey[int]()


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Any:
    """Counts one input."""
    stash = request.config.stash

    def count() -> None:
        stash[INPUTS] = stash.get(INPUTS, 0) + 1

    return count


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if INPUTS in config.stash:
        terminalreporter.write_line(f"fuzzed inputs: {config.stash[INPUTS]:,}")
