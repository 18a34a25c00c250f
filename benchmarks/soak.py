"""The digits recipe in a loop with random kills; memory and open files of a process that stays.

In turn, a search in a process of its own is killed at a random moment again and again until it
ends, and one runs to its end in this process, which must need no more memory and no more open files
each time.

    python -m benchmarks.soak --minutes 60    writes benchmarks/results/soak.json
    python -m benchmarks.soak --minutes 1     less than 30 minutes are a trial and are not written
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.record import ROOT, write_results

TOOL = ROOT / "tools" / "search.py"
WORDS = [
    "recipe=digits",
    "threads=1",
    "checkpoint_steps=20",
    "network.channels=4",
    "supernet.epochs=4",
    "regions.epochs=1",
    "search.trials=30",
    "audit.networks=3",
    "audit.epochs=1",
]
WRITTEN_MINUTES = 30


def command(folder: Path) -> list[str]:
    """The search, in a process of its own."""
    return [sys.executable, str(TOOL), *WORDS, f"run={folder}"]


def shortest_launch() -> float:
    """Seconds of a launch that finds all its work done: what a search needs to end at all."""
    with tempfile.TemporaryDirectory() as name:
        for _ in range(2):
            began = time.monotonic()
            subprocess.run(command(Path(name) / "run"), check=True, capture_output=True)
        return time.monotonic() - began


def killed_until_done(folder: Path, rng: random.Random, longest: float) -> int:
    """Run a search with a kill after a random time, again and again; the number of kills.

    Args:
        folder: The folder of the run.
        rng: Draws the times.
        longest: Seconds until the latest kill.

    Raises:
        RuntimeError: A search ended with an error of its own.
    """
    kills = 0
    while True:
        process = subprocess.Popen(
            command(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            out, _ = process.communicate(timeout=rng.uniform(1, longest))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        if process.returncode:
            raise RuntimeError(out.decode()[-2000:])
        return kills


def state_of_this_process() -> tuple[float, int]:
    """Resident memory in MB, and open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd"))


def soak(minutes: float, seed: int) -> dict[str, Any]:
    """Loop for so long; what was seen after each round.

    Raises:
        RuntimeError: A killed search did not end with the trials of an undisturbed one.
    """
    from fewshot_core.pipeline.search import search

    # Later than a launch takes, else no search would ever end; not much, so that kills are many.
    longest = 1.5 * shortest_launch()
    rng, end = random.Random(seed), time.monotonic() + 60 * minutes
    kills: list[int] = []
    memory: list[float] = []
    files: list[int] = []
    while not memory or time.monotonic() < end:
        with tempfile.TemporaryDirectory() as name:
            kills.append(killed_until_done(Path(name) / "killed", rng, longest))
            search([*WORDS, f"run={Path(name) / 'whole'}"])
            tables = [(Path(name) / run / "trials.csv").read_text() for run in ("killed", "whole")]
            if tables[0] != tables[1]:
                shutil.copytree(name, f"soak-failed-{len(kills)}")
                raise RuntimeError(f"other trials after kills; see soak-failed-{len(kills)}")
        megabytes, count = state_of_this_process()
        memory.append(round(megabytes, 1))
        files.append(count)
        print(
            f"round {len(kills)}: {kills[-1]} kills, {megabytes:.0f} MB, {count} open files",
            flush=True,
        )
    return {
        "rounds": len(kills),
        "longest_seconds": longest,
        "kills": kills,
        "memory_MB": memory,
        "open_files": files,
    }


def growth(values: Sequence[float]) -> float:
    """The mean of the last quarter less that of the second; the first is for warming up."""
    quarter = max(1, len(values) // 4)
    early, late = values[quarter : 2 * quarter] or values[:1], values[-quarter:]
    return sum(late) / len(late) - sum(early) / len(early)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = soak(options.minutes, options.seed)
    found |= {
        "minutes": options.minutes,
        "memory_growth_MB": growth(found["memory_MB"]),
        "open_files_growth": growth(found["open_files"]),
    }
    print(
        f"{found['rounds']} rounds, {sum(found['kills'])} kills; memory grew by "
        f"{found['memory_growth_MB']:.1f} MB, open files by {found['open_files_growth']:.1f}"
    )
    if options.minutes >= WRITTEN_MINUTES:
        print(f"written: {write_results('soak', found, [options.seed])}")


if __name__ == "__main__":
    main()
