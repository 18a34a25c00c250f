"""How many threads: what may be used, what was wished, and what a launcher only makes up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fewshot_core.runs import threads
from fewshot_core.runs.threads import ThreadsError, available_cores, choose_threads, wait_passively


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight of 64 cores and no limits."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    return tmp_path


QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/", {}, 8),
        ("0::/", {"cpu.max": "max 100000"}, 8),
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "350000 100000"}, 3),
        ("0::/pod/box", {"pod/box/cpu.max": "max 100000", "pod/cpu.max": "400000 100000"}, 4),
        ("0::/pod/box", {"cpu.max": "600000 100000"}, 6),  # the path is the machine's
        ("0::/", {"cpu.max": "1600000 100000"}, 8),
        ("0::/", {"cpu.max": "nonsense"}, 8),
        ("4:cpu,cpuacct:/d/1", {f"cpu,cpuacct/{QUOTA}": "300000", f"cpu,cpuacct/{PERIOD}": "1"}, 8),
        ("4:cpu,cpuacct:/d/1", {f"cpu,cpuacct/{QUOTA}": "3", f"cpu,cpuacct/{PERIOD}": "1"}, 3),
        ("4:cpu,cpuacct:/d", {f"cpu/d/{QUOTA}": "20", f"cpu/d/{PERIOD}": "10"}, 2),
        ("1:cpu:/", {f"cpu/{QUOTA}": "-1", f"cpu/{PERIOD}": "100000"}, 8),
        ("7:memory:/", {"memory/cpu.max": "100000 100000"}, 8),
    ],
)
def test_the_limits_of_a_container_count(
    machine: Path, line: str, files: dict[str, str], cores: int
) -> None:
    (machine / "proc" / "self" / "cgroup").write_text(line + "\n")
    for name, text in files.items():
        path = machine / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert available_cores(machine / "proc", machine / "groups") == cores


def test_affinity_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert choose_threads(None, {}, machine / "proc").count == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores(machine / "proc") == 64


@pytest.mark.parametrize(
    ("wanted", "variables", "count", "reason"),
    [
        (3, {"OMP_NUM_THREADS": "1"}, 3, "as the recipe says"),
        (None, {}, 8, "all cores that may be used"),
        (None, {"OMP_NUM_THREADS": "2"}, 2, "as OMP_NUM_THREADS says"),
        (None, {"OMP_NUM_THREADS": "2,4"}, 2, "as OMP_NUM_THREADS says"),
        (None, {"OMP_NUM_THREADS": "64"}, 8, "OMP_NUM_THREADS=64 asks for more"),
        (None, {"OMP_NUM_THREADS": " "}, 8, "all cores"),
        (None, {"OMP_THREAD_LIMIT": "3"}, 3, "as OMP_THREAD_LIMIT says"),
        (None, {"LOCAL_WORLD_SIZE": "4"}, 2, "8 cores for 4 processes"),
        (None, {"LOCAL_WORLD_SIZE": "16"}, 1, "8 cores for 16 processes"),
    ],
)
def test_who_decides(
    machine: Path, wanted: int | None, variables: dict[str, str], count: int, reason: str
) -> None:
    chosen = choose_threads(wanted, variables, machine / "proc")
    assert chosen.count == count
    assert str(chosen).startswith(f"threads {count}: ")
    assert reason in str(chosen)


LAUNCHED = {"ACCELERATE_MIXED_PRECISION": "no"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "4"}


@pytest.mark.parametrize("given", [LAUNCHED, TORCHRUN], ids=["accelerate", "torchrun"])
@pytest.mark.parametrize(
    ("environ", "command", "wished"),
    [
        ("HOME=/", "python launch tools/search.py", False),
        ("HOME=/ OMP_NUM_THREADS=1", "python launch tools/search.py", True),
        ("", "launch --num_cpu_threads_per_process 1 tools/search.py", True),
        ("", "launch --num-cpu-threads-per-process=1 tools/search.py", True),
    ],
)
def test_a_launcher_passes_on_what_it_was_told_and_no_more(
    machine: Path, given: dict[str, str], environ: str, command: str, wished: bool
) -> None:
    launcher = machine / "proc" / str(os.getppid())
    launcher.mkdir()
    (launcher / "environ").write_text(environ.replace(" ", "\0"))
    (launcher / "cmdline").write_text(command.replace(" ", "\0"))
    variables = {**given, "OMP_NUM_THREADS": "1"}
    alone = 2 if given is TORCHRUN else 8
    assert choose_threads(None, variables, machine / "proc").count == (1 if wished else alone)


def test_of_a_launcher_that_cannot_be_asked_one_thread_is_no_wish(machine: Path) -> None:
    given = [{**LAUNCHED, "OMP_NUM_THREADS": number} for number in ("1", "2")]
    assert [choose_threads(None, one, machine / "proc").count for one in given] == [8, 2]


@pytest.mark.parametrize("text", ["all", "0", "-2", "1.5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ThreadsError, match="OMP_NUM_THREADS is no number of threads"):
        choose_threads(None, {"OMP_NUM_THREADS": text})


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({}, {"OMP_WAIT_POLICY": "PASSIVE"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
        ({"GOMP_SPINCOUNT": "9"}, {"GOMP_SPINCOUNT": "9"}),
    ],
)
def test_threads_sleep_unless_the_user_says_otherwise(
    given: dict[str, str], after: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in threads.WAITING:
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    wait_passively()
    assert {name: os.environ[name] for name in threads.WAITING if name in os.environ} == after
