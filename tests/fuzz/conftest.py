"""The number of fuzzed inputs, and its printing."""

from __future__ import annotations

from typing import Any

import pytest

INPUTS = pytest.StashKey[int]()
NOTED = "fuzzed inputs"
"""What a test notes with its report, which reaches the process that sums up."""


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Any:
    """Counts one input."""
    stash, noted = request.config.stash, request.node.user_properties
    noted.append((NOTED, 0))

    def count() -> None:
        stash[INPUTS] = stash.get(INPUTS, 0) + 1
        noted[-1] = (NOTED, noted[-1][1] + 1)

    return count


def pytest_terminal_summary(terminalreporter: Any) -> None:
    passed = terminalreporter.stats.get("passed", [])
    counts = [count for report in passed for name, count in report.user_properties if name == NOTED]
    if counts:
        terminalreporter.write_line(f"fuzzed inputs: {sum(counts):,}")
