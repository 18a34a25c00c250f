"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.processes import PROCESS, no_process, starts_process
from tests.shared import flush_nothing

# Results of a CPU are equal bit by bit, and the tests ask for that; those in tests/gpu start
# processes which see what this one does not. Processes of pytest-xdist inherit both variables.
GPUS = os.environ.setdefault("FEWSHOT_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
"""What CUDA_VISIBLE_DEVICES was, or ``all``."""
os.environ["CUDA_VISIBLE_DEVICES"] = ""

FAULT, FUZZED = "fault survived", "fuzzed inputs"
"""What tests note with their reports, which reach the process that sums up."""

SECONDS = 5
"""What is not listed as slow takes less on an idle core."""

SLOW = Path(__file__).with_name("slow.txt")
"""The tests that get the marker ``slow``, without their parameters."""


def pytest_configure() -> None:
    """Before anything is collected."""
    flush_nothing()
    # Readline, which pytest imports, tells workers of pytest-xdist 80 columns, and tools that run
    # in this process would fold their tables to it.
    os.environ.pop("COLUMNS", None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many faults runs have survived, how many inputs were fuzzed, and what to mark."""
    passed = terminalreporter.stats.get("passed", [])
    noted = [(name, value) for report in passed for name, value in report.user_properties]
    faults = [value for name, value in noted if name == FAULT]
    if faults:
        kinds = ", ".join(f"{n} x {kind}" for kind, n in Counter(faults).items())
        terminalreporter.write_line(f"faults injected and survived: {len(faults)} ({kinds})")
    inputs = [value for name, value in noted if name == FUZZED]
    if inputs:
        terminalreporter.write_line(f"fuzzed inputs: {sum(inputs):,}")
    marked = {PROCESS, "slow"}
    for report in passed:
        if report.when == "call" and report.duration > SECONDS and not marked & {*report.keywords}:
            name = report.nodeid.partition("[")[0]
            text = f"{report.duration:.0f} s, and not in tests/slow.txt: {name}"
            terminalreporter.write_line(text)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a process, and put files with such tests first: the rest fills the gaps."""
    seen: dict[Any, bool] = {}
    slow = {*SLOW.read_text(encoding="utf-8").splitlines()}
    for item in items:
        if item.nodeid.partition("[")[0] in slow:
            item.add_marker("slow")
        if isinstance(item, pytest.Function) and starts_process(item, seen):
            item.add_marker(PROCESS)
    long = {item.path for item in items if item.get_closest_marker(PROCESS) is not None}
    items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that is not marked starts no process: `make check` rests on it."""
    with guard(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    with guard(item):
        return (yield)


def guard(item: pytest.Item) -> AbstractContextManager[None]:
    """What a test runs in."""
    return nullcontext() if item.get_closest_marker(PROCESS) is not None else no_process()


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
