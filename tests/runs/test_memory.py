"""Freed memory is kept where nobody has chosen otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fewshot_core.runs import memory
from fewshot_core.runs.memory import keep_freed_memory


class Mallopt:
    """Takes thresholds up to a size."""

    def __init__(self, most: int = 2**40) -> None:
        self.most = most
        self.set: dict[int, int] = {}

    def __call__(self, option: int, value: int) -> int:
        if option == -3 and value > self.most:
            return 0
        self.set[option] = value
        return 1


def test_both_thresholds_are_set() -> None:
    mallopt = Mallopt()
    assert keep_freed_memory({}, mallopt)
    assert mallopt.set == {-3: 2**30, -1: 2**31 - 1}


def test_a_version_that_takes_less_gets_less() -> None:
    mallopt = Mallopt(most=2**25)
    assert keep_freed_memory({}, mallopt)
    assert mallopt.set[-3] == 2**25


@pytest.mark.parametrize(
    "variables",
    [
        {"MALLOC_TRIM_THRESHOLD_": "100000"},
        {"LD_PRELOAD": "libjemalloc.so.2"},
        {"GLIBC_TUNABLES": "glibc.rtld.nns=4:glibc.malloc.trim_threshold=1"},
    ],
)
def test_the_choice_of_the_user_stands(variables: dict[str, str]) -> None:
    mallopt = Mallopt()
    assert not keep_freed_memory(variables, mallopt)
    assert mallopt.set == {}


def test_other_variables_are_no_choice() -> None:
    assert keep_freed_memory({"GLIBC_TUNABLES": "glibc.rtld.nns=4"}, Mallopt())


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert not keep_freed_memory({})


FAULTS = """
import resource
import torch
from fewshot_core.runs.memory import keep_freed_memory
kept = keep_freed_memory({})
def step():
    parts = [torch.ones(1_000_000) for _ in range(20)]
counts = []
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, min(counts))
"""


@pytest.mark.skipif(memory._glibc() is None, reason="no glibc")
def test_a_second_step_asks_for_no_pages() -> None:
    """In a process of its own, because it would be set for all tests: 7,800 faults without.

    Of several steps that with the fewest: a system short of memory takes pages away.
    """
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    assert kept == "True"
    assert int(faults) < 1_000
