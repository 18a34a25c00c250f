"""The rows of the GPU benchmark: each is kept as soon as it is measured, or with its error."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.budget import Budget
from benchmarks.studies.record import ROOT, command, machine
from fewshot_core.runs.files import write_text
from fewshot_core.runs.preemption import Preempted

ERROR = "error"
"""The field of a row that failed."""


class Rows:
    """Rows by their keys, in a file that is replaced after each of them.

    Args:
        path: The file.
        budget: Time of the command.
        earlier: Rows that are there already.
    """

    def __init__(self, path: Path, budget: Budget, earlier: Mapping[str, Any]) -> None:
        self.path, self.budget = path, budget
        self.rows: dict[str, dict[str, Any]] = dict(earlier)
        self.fresh: set[str] = set()  # measured by this process
        self.device = device_name()
        self._machine = machine()
        self.write()

    def run(self, key: str, needed: float, measure: Callable[[], dict[str, Any]]) -> bool:
        """Measure a row unless it is there; an error becomes a part of it.

        Args:
            key: Its name.
            needed: Seconds without which it is not begun.
            measure: Makes it.

        Returns:
            Whether the device still works.
        """
        if key in self.rows:
            return True
        if self.budget.left < needed:
            print(f"{key}: not begun, {self.budget.left:.0f} s are left of {needed:.0f}")
            return True
        began, sound = time.monotonic(), True
        try:
            row = measure()
        except Preempted:
            print(f"{key}: not finished, the time is over", flush=True)
            return True
        except Exception as error:
            row = {ERROR: _shorten(error), "at": _locate(error)}
            traceback.print_exc()
            sound = device_works()
        row |= {"device": self.device, "seconds": round(time.monotonic() - began, 2)}
        self.rows[key] = row
        self.fresh.add(key)
        print(f"{key}: {json.dumps(row)}", flush=True)
        self.write()
        gc.collect()
        if sound and torch.cuda.is_available():
            torch.cuda.empty_cache()
        return sound

    def here(self, key: str) -> dict[str, Any] | None:
        """A row without an error that was measured on this kind of device."""
        row = self.rows.get(key)
        return row if row and ERROR not in row and row["device"] == self.device else None

    def write(self) -> None:
        """Replace the file."""
        here = dict(self._machine)
        value = {"command": command(), "date": here.pop("date"), "machine": here, "rows": self.rows}
        write_text(self.path, json.dumps(value, indent=2) + "\n")


def read_earlier(path: Path | None, with_errors: bool) -> dict[str, Any]:
    """The rows of an earlier call; rows that failed are measured again unless ``with_errors``."""
    if path is None:
        return {}
    rows: dict[str, Any] = json.loads(path.read_text())["rows"]
    return {key: row for key, row in rows.items() if with_errors or ERROR not in row}


def device_name() -> str:
    """The GPU's name, or ``cpu``."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def device_works() -> bool:
    """Whether the device still computes: after some errors a process has to begin anew."""
    if not torch.cuda.is_available():
        return True
    try:
        torch.cuda.synchronize()
        return float(torch.ones(8, device="cuda").sum()) == 8
    except RuntimeError:
        return False


def _shorten(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _locate(error: Exception) -> list[str]:
    """The last lines of the traceback: of this project, and of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if ROOT in Path(frame.filename).parents]
    lines = [
        f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in (*ours[-1:], frames[-1])
    ]
    return list(dict.fromkeys(lines))
