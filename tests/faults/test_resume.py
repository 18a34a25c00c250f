"""What a kill has left is taken up: trainings at their step, trials and scores as they are.

That a run ends the same wherever it is killed is what ``test_faults.py`` shows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.outcome import outcome, retrained
from tests.tools.process import TIMEOUT, TOOLS, succeed

from .conftest import Reference, disturbed
from .moments import named
from .tasks import TASKS, Tiny

Survived = Callable[[str], None]

FRESH = """
import runpy, sys
from pathlib import Path
from tests.faults.moments import watch

watch(None, int(sys.argv[1]), "kill")
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A tool in an interpreter that was started for it, killed at a moment."""


def test_the_reference_has_everything(reference: Reference) -> None:
    found = outcome(reference.run)
    assert len(found["study"]) == 8
    assert len(found["weights"]) == 3 + 3  # the parent and two regions; the audit's networks
    assert len(retrained(reference.run)["weights"]) == 2
    assert not list(reference.run.rglob("step-*.pt"))
    assert not list(reference.run.rglob(".*.part"))


def trials(run: Path) -> list[bytes]:
    """The whole lines of the journal but the first, which makes the study: a trial each."""
    path = run / "study.log"
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()[1:]


def test_two_command_lines(reference: Reference, tmp_path: Path, survived: Survived) -> None:
    """The process that goes on shares nothing with the one that was killed."""
    moment = named(reference.moments("search"), "step of supernet root", 0.99)
    words = [str(TOOLS / "search.py"), *reference.words("search")]
    killed = subprocess.run(
        [sys.executable, "-c", FRESH, str(moment), *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TOOLS.parent), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert (
        "continuing from step"
        in succeed("search", reference.words("search"), tmp_path, real=True).out
    )
    reference.require_same("search", tmp_path)
    survived("kill")


@pytest.mark.parametrize("part", ["step of a region", "step of network"])
def test_a_training_goes_on_where_it_was(
    part: str, reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    """Not from its start: that would give the same weights and prove nothing about checkpoints."""
    moment = named(reference.moments("search"), reference.part(part), 0.99)
    assert disturbed("search", reference.words("search"), tmp_path, moment, "kill").code == -9
    assert (tmp_path / "run" / "found.json").exists() == (part == "step of network")
    assert "continuing from step" in reference.end("search", tmp_path).out
    survived("kill")


def test_so_does_retraining(reference: Reference, tmp_path: Path, survived: Survived) -> None:
    reference.searched(tmp_path)
    moment = named(reference.moments("retrain"), "step", 0.99)
    assert disturbed("retrain", ["run=run"], tmp_path, moment, "kill").code == -9
    assert "continuing from step" in reference.end("retrain", tmp_path).out
    reference.require_same("search", tmp_path)
    survived("kill")


def test_the_network_that_measures_generators(
    undisturbed: Callable[[Tiny], Reference], tmp_path: Path, survived: Survived
) -> None:
    """It is trained when the first score is asked for, by none of the supernets' trainings."""
    reference = undisturbed(TASKS[2])
    moment = named(reference.moments("search"), "step of classifier", 0.9)
    assert disturbed("search", reference.words("search"), tmp_path, moment, "kill").code == -9
    reference.end("search", tmp_path)
    survived("kill")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"evaluator": "naswot", "audit.networks": 0},  # networks that nobody trains
        {"strategy": "hyperband", "audit.networks": 0},  # parts of the budget
        {"strategy": "nsga2", "audit.networks": 0},  # two objectives
    ],
    ids=["rea", "naswot", "hyperband", "nsga2"],
)
def test_trials_are_kept(
    changes: dict[str, object], reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    words, whole, log = reference.task.words(**changes), reference.folder, tmp_path / "log"
    if changes:
        whole = tmp_path / "whole"
        for folder in (whole, tmp_path):
            (folder / "run").mkdir(parents=True)
            if "evaluator" not in changes:  # the supernets are those of the reference
                shutil.copytree(reference.run / "checkpoints", folder / "run" / "checkpoints")
        assert disturbed("search", words, whole, 0, "", log).code == 0
    else:
        log = reference.moments("search")
    fourth = named(log, "score", 3.5 / log.read_text().splitlines().count("score"))
    assert disturbed("search", words, tmp_path, fourth, "kill").code == -9
    before = trials(tmp_path / "run")
    assert len(before) == 3
    assert not (tmp_path / "run" / "trials.csv").exists()
    succeed("search", words, tmp_path)
    assert trials(tmp_path / "run")[:3] == before  # kept, not searched again
    for name in ("trials.csv", "found.json", "pareto.json"):
        assert (tmp_path / "run" / name).read_text() == (whole / "run" / name).read_text()
    survived("kill")


def test_scores_of_the_audit_are_kept(
    reference: Reference, tmp_path: Path, survived: Survived
) -> None:
    """Networks that are scored for the audit alone."""
    moment = named(reference.moments("search"), "score", 0.9)
    assert disturbed("search", reference.words("search"), tmp_path, moment, "kill").code == -9
    kept = (tmp_path / "run" / "audit-scores.csv").read_text()
    assert len(kept.splitlines()) > 2
    assert not (tmp_path / "run" / "standalone").exists()
    reference.end("search", tmp_path)
    assert (tmp_path / "run" / "audit-scores.csv").read_text().startswith(kept)
    survived("kill")


def test_a_finished_run_is_only_reported(reference: Reference, tmp_path: Path) -> None:
    shutil.copytree(reference.run, tmp_path / "run")
    before = stamps(tmp_path / "run")
    reference.end("search", tmp_path)
    again = reference.end("retrain", tmp_path)
    assert "then measured on the test images" in again.out
    assert stamps(tmp_path / "run") == before


def stamps(run: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of the weights, their states and the study."""
    files = [run / "study.log", *run.rglob("weights.safetensors"), *run.rglob("state.json")]
    return {str(f.relative_to(run)): (f.stat().st_mtime_ns, f.read_bytes()) for f in sorted(files)}
