"""What a run ends with: everything that must not depend on interruptions, all but times."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from fewshot_core.search.study import open_study

TRAINED = ("checkpoints", "standalone", "metric")
"""Folders of trainings that a search leaves, of those that it has."""


def outcome(run: Path) -> dict[str, Any]:
    """Everything that must not depend on interruptions: all but times."""
    study = open_study(run / "study.log", "search")
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    found = json.loads((run / "found.json").read_text())
    return {
        "study": [(t.params, t.value, t.user_attrs) for t in study.trials],
        "trials": (run / "trials.csv").read_text(),
        "found": found,
        "front": (run / "pareto.json").read_text(),
        "audit": {path.name: path.read_text() for path in sorted(run.glob("audit*.[cj]s*"))},
        "weights": {k: v for part in TRAINED for k, v in weights(run, part).items()},
    }


def retrained(run: Path) -> dict[str, Any]:
    results = json.loads((run / "retrain.json").read_text())["results"]
    for result in results:
        del result["training_seconds"]
    return {"results": results, "weights": weights(run, "retrain")}


def weights(run: Path, part: str = "") -> dict[str, str]:
    """Digests of the finished weights of a run, or of one of its folders."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((run / part).rglob("weights.safetensors"))
    }
