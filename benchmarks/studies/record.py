"""How a benchmark writes down what it measured: figures beside command, seeds, machine and date."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fewshot_core.runs.files import write_text
from fewshot_core.runs.folder import environment

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PICTURES = ROOT / "docs" / "pictures"


def command() -> str:
    """The command line of this process, without what is a place of this machine alone."""
    words = list(sys.argv[1:])
    while "--work" in words:
        at = words.index("--work")
        del words[at : at + 2]
    spec = sys.modules["__main__"].__spec__
    program = f"-m {spec.name.removesuffix('.__main__')}" if spec else sys.argv[0]
    return " ".join(["python", program, *words])


def machine() -> dict[str, Any]:
    """What figures depend on besides the command; among it the ``date``."""
    found = environment("cuda" if torch.cuda.is_available() else "cpu")
    return {key: value for key, value in found.items() if key != "command"}


def write_results(name: str, figures: Mapping[str, Any], seeds: Sequence[int]) -> Path:
    """Write ``benchmarks/results/NAME.json`` whole."""
    path, here = RESULTS / f"{name}.json", machine()
    value = {
        "command": command(),
        "date": here.pop("date"),
        "seeds": list(seeds),
        "machine": here,
        "figures": figures,
    }
    write_text(path, json.dumps(value, indent=2) + "\n")
    return path


def read_figures(name: str) -> dict[str, Any]:
    """The figures that ``benchmarks/results/NAME.json`` holds."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())["figures"]
    return found


def time_call(call: Callable[[], object]) -> float:
    """Call, and return the seconds that it took."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
