"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

# Results of a CPU are equal bit by bit, and the tests ask for that; those in tests/gpu start
# processes which see what this one does not. Processes of pytest-xdist inherit both variables.
GPUS = os.environ.setdefault("FEWSHOT_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
"""What CUDA_VISIBLE_DEVICES was, or ``all``."""
os.environ["CUDA_VISIBLE_DEVICES"] = ""

FAULT, FUZZED = "fault survived", "fuzzed inputs"
"""What tests note with their reports, which reach the process that sums up."""


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many faults runs have survived, and how many inputs were fuzzed."""
    passed = terminalreporter.stats.get("passed", [])
    noted = [(name, value) for report in passed for name, value in report.user_properties]
    faults = [value for name, value in noted if name == FAULT]
    if faults:
        kinds = ", ".join(f"{n} x {kind}" for kind, n in Counter(faults).items())
        terminalreporter.write_line(f"faults injected and survived: {len(faults)} ({kinds})")
    inputs = [value for name, value in noted if name == FUZZED]
    if inputs:
        terminalreporter.write_line(f"fuzzed inputs: {sum(inputs):,}")


LONG = ("tools", "faults", "pipeline", "tasks", "export", "benchmarks")
"""Folders whose files take minutes each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: a process that gets one last would work on while the others have ended."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Every training ends with a collection, which would walk all that was imported each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def shared_data() -> Path:
    """The folder of shared data sets: beside the repository, or where the environment says."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("FEWSHOT_SHARED_DATA") or beside)
    if not path.is_dir():
        pytest.skip(f"no shared data in {path}; FEWSHOT_SHARED_DATA names another folder")
    return path
