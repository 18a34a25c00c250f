"""Speed-up of `processes=regions` on two processes, and memory by the number of regions.

The speed-up is a ratio of times on one machine: from the end of the parent's training to that of
the last region's, with one thread per process. Leave the machine alone meanwhile.

    python -m benchmarks.scaling            writes benchmarks/results/scaling.json
    python -m benchmarks.scaling --quick    a few steps; writes nothing
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.record import ROOT, write_results
from benchmarks.studies.tables import Table

TOOL = ROOT / "tools" / "search.py"
LAUNCH = (
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--main_process_port", "0"),
    *("--mixed_precision", "no", "--dynamo_backend", "no"),
)
SETTINGS = {
    "threads": 1,
    "processes": "regions",
    "network.channels": 16,
    "supernet.epochs": 0.1,
    "split": "random",  # regions of equal cost
    "split.count": 4,
    "regions.epochs": 12,
    "regions.paths": "uniform",
    "search.trials": 1,
    "audit.networks": 0,
}
MEMORY = {
    "network.channels": 64,
    "split": "random",
    "supernet.epochs": 0.1,
    "regions.epochs": 0.2,
    "search.trials": 20,
    "strategy": "random",
    "audit.networks": 0,
}


def run(words: Mapping[str, object], folder: Path, processes: int = 1) -> int:
    """Run a search; the peak memory of its largest process in kB.

    Raises:
        RuntimeError: The search failed.
    """
    command = [sys.executable, *(LAUNCH if processes > 1 else ()), str(TOOL), "recipe=digits"]
    command += [f"{key}={value}" for key, value in words.items()] + [f"run={folder / 'run'}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError((folder / "log").read_text()[-2000:])
    return usage.ru_maxrss


def seconds_of_regions(run_folder: Path) -> float:
    """From the end of the parent's training to that of the last region's."""
    ends = {
        path.parent.name: path.stat().st_mtime
        for path in run_folder.glob("checkpoints/*/weights.safetensors")
    }
    return max(ends.values()) - ends["root"]


def scaling(settings: Mapping[str, object], repeats: int) -> dict[str, Any]:
    """Times on one and on two processes in turn, so that a change of the machine hits both."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for processes, found in times.items():
            with tempfile.TemporaryDirectory() as name:
                run(settings, Path(name), processes)
                found.append(seconds_of_regions(Path(name) / "run"))
    one, two = (statistics.median(times[n]) for n in (1, 2))
    return {"seconds_1": times[1], "seconds_2": times[2], "speed_up": one / two}


def memory(settings: Mapping[str, object], counts: Sequence[int]) -> dict[str, int]:
    """Peak memory of a search by the number of its regions."""
    found = {}
    for count in counts:
        words = dict(settings) | {"split.count": count, "split.when": "always"}
        if count == 1:  # what is about regions has no effect then
            about = ("split", "regions")
            words = {k: v for k, v in words.items() if k.partition(".")[0] not in about}
            words["split"] = "none"
        with tempfile.TemporaryDirectory() as name:
            found[str(count)] = run(words, Path(name))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a few steps, nothing is written")
    quick = parser.parse_args().quick
    settings = SETTINGS | ({"regions.epochs": 1, "network.channels": 4} if quick else {})
    speed = scaling(settings, 1 if quick else 3)
    peak = memory(
        MEMORY | ({"network.channels": 8} if quick else {}), (1, 4) if quick else (1, 4, 16)
    )
    lines = [("speed-up of 4 regions on 2 processes", f"{speed['speed_up']:.2f}")]
    lines += [(f"peak memory with {n} regions", f"{kB / 1024:.0f} MB") for n, kB in peak.items()]
    Table("processes=regions, one thread per process", ("what", "value"), lines).show()
    if not quick:
        path = write_results("scaling", {"regions": speed, "peak_kB_by_regions": peak}, [0])
        print(f"written: {path}")


if __name__ == "__main__":
    main()
