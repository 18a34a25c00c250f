"""How many threads a process computes with, and how they wait for each other. No torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fewshot_core.errors import FewshotError
from fewshot_core.runs.launch import local_world_size

VARIABLE = "OMP_NUM_THREADS"
LIMIT = "OMP_THREAD_LIMIT"
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


class ThreadsError(FewshotError):
    """The environment names no number of threads."""


@dataclass(frozen=True)
class Threads:
    """A number of threads and where it comes from."""

    count: int
    reason: str

    def __str__(self) -> str:
        return f"threads {self.count}: {self.reason}"


def available_cores(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """The cores that this process may use: its affinity and the limits of its control groups.

    A container is often allowed fewer than the machine has, and ``os.cpu_count`` counts those of
    the machine.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # no Linux
        allowed = os.cpu_count() or 1
    limits = [limit for limit in _limits(proc, cgroups) if limit > 0]
    # A part of a core cannot hold a thread that never waits.
    return max(1, min([allowed, *(int(limit) for limit in limits)]))


def choose_threads(
    wanted: int | None, environ: Mapping[str, str] | None = None, proc: Path = PROC
) -> Threads:
    """The number of threads of this process.

    Args:
        wanted: The recipe's; it wins.
        environ: The environment; by default that of this process.
        proc: Where processes are described; the launcher's, for what it was told.

    Raises:
        ThreadsError: ``OMP_NUM_THREADS`` is no number.
    """
    variables = os.environ if environ is None else environ
    if wanted is not None:
        return Threads(wanted, "as the recipe says")
    cores = available_cores(proc)
    wish = _wish(variables)
    if wish is not None and not _of_launcher(variables, proc):
        if wish > cores:
            return Threads(cores, f"all cores that may be used; {VARIABLE}={wish} asks for more")
        return Threads(wish, f"as {VARIABLE} says")
    here = local_world_size(variables)
    count = max(1, cores // here)
    reason = "all cores that may be used" if here == 1 else f"{cores} cores for {here} processes"
    most = _number(variables.get(LIMIT, ""))
    if most is not None and most < count:
        return Threads(most, f"as {LIMIT} says")
    return Threads(count, reason)


def wait_passively() -> None:
    """Let threads that wait for others sleep, unless the user has chosen how they wait.

    By default they turn in a loop for some milliseconds at every operation. Where a core is shared
    with another process, the thread that has work to do waits for them. Has to be called before
    torch is imported: its threads read the variable when they are loaded.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def _wish(variables: Mapping[str, str]) -> int | None:
    text = variables.get(VARIABLE, "").strip()
    if not text:
        return None
    found = _number(text.partition(",")[0])  # of the outermost level, where there are several
    if found is None:
        raise ThreadsError(
            f"{VARIABLE} is no number of threads",
            found=text,
            allowed="1, 2, ...",
            fix=f"unset {VARIABLE}, or set threads= in the recipe",
        )
    return found


def _number(text: str) -> int | None:
    with suppress(ValueError):
        return int(text) if int(text) > 0 else None
    return None


def _of_launcher(variables: Mapping[str, str], proc: Path) -> bool:
    """Whether the number is one that a launcher gives where its user has named none.

    ``accelerate launch`` and ``torchrun`` say 1. Whether they were told is seen in what they were
    started with themselves.
    """
    if not {"ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID"} & set(variables):
        return False
    launcher = proc / str(os.getppid())
    try:
        started_with = (launcher / "environ").read_bytes().split(b"\0")
        command = (launcher / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return variables[VARIABLE] == "1"
    told = any(entry.startswith(VARIABLE.encode() + b"=") for entry in started_with)
    option = re.compile(rb"--num[_-]cpu[_-]threads[_-]per[_-]process\b")
    return not told and not any(option.match(word) for word in command)


def _limits(proc: Path, cgroups: Path) -> Iterator[float]:
    """The cores that each control group of this process allows, by quota and period."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for folder in _folders(cgroups, controllers, path):
            with suppress(OSError, ValueError, ZeroDivisionError):
                if controllers:
                    quota = int((folder / "cpu.cfs_quota_us").read_text())
                    period = int((folder / "cpu.cfs_period_us").read_text())
                else:
                    first, second = (folder / "cpu.max").read_text().split()
                    quota, period = int(first), int(second)  # "max" is no limit, and no number
                yield quota / period


def _folders(cgroups: Path, controllers: str, path: str) -> Iterator[Path]:
    """The group and those above it; inside a container its path may be that of the machine."""
    if controllers and "cpu" not in controllers.split(","):
        return
    for root in (cgroups / controllers, cgroups / "cpu", cgroups / "unified", cgroups):
        folder = root / path.strip("/")
        yield folder
        yield from (above for above in folder.parents if above.is_relative_to(root))
