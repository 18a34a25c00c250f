"""How a benchmark writes down what it measured: figures beside command, seeds, machine and date."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fewshot_core.runs.files import write_text
from fewshot_core.runs.folder import environment

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def write_results(name: str, figures: Mapping[str, Any], seeds: Sequence[int]) -> Path:
    """Write ``benchmarks/results/NAME.json`` whole."""
    path = RESULTS / f"{name}.json"
    machine = environment("cuda" if torch.cuda.is_available() else "cpu")
    value = {
        "command": "python " + " ".join(sys.argv),
        "date": machine.pop("date"),
        "seeds": list(seeds),
        "machine": {k: v for k, v in machine.items() if k != "command"},
        "figures": figures,
    }
    write_text(path, json.dumps(value, indent=2) + "\n")
    return path
