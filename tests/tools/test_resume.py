"""A run that is killed at any moment and started again ends as if it had not been killed."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from .conftest import as_before
from .killing import Stage, in_parent, in_region, killed_in, states, under_way
from .outcome import outcome, retrained
from .process import Done, Running, succeed, words_of
from .tiny import TINY

# Small batches make many steps, so that every stage lasts long enough to be hit.
SETTINGS = TINY | {
    "supernet.batch_size": 16,
    "supernet.epochs": 4,
    "regions.batch_size": 16,
    "regions.epochs": 4,
    "evaluator.recalibrate": 256,
    "evaluator.batch_size": 16,
    "search.trials": 14,
    "audit.epochs": 3,
    "retrain.batch_size": 16,
    "retrain.epochs": 4,
}
SEARCH = words_of(SETTINGS, run="run")
RETRAIN = ["run=run"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody interrupted, by the real command line."""
    folder = tmp_path_factory.mktemp("reference")
    succeed("search", SEARCH, folder, real=True)
    succeed("retrain", RETRAIN, folder)
    return folder / "run"


def test_the_reference_has_everything(reference: Path) -> None:
    found = outcome(reference)
    assert len(found["study"]) == 14
    assert len(found["weights"]) == 3 + 4  # the parent and two regions; the audit's networks
    assert len(retrained(reference)["weights"]) == 3
    assert not list(reference.rglob("step-*.pt"))
    assert not list(reference.rglob(".*.part"))


# -- where a run stands --------------------------------------------------------------------


def completed(run: Path) -> list[bytes]:
    """The whole lines of the journal but the first, which makes the study: a trial each."""
    path = run / "study.log"
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()[1:]


def in_search(run: Path) -> bool:
    return 2 <= len(completed(run)) <= 12 and not (run / "found.json").exists()


def in_audit_scores(run: Path) -> bool:
    """While networks are scored for the audit alone."""
    log = run / "audit-scores.csv"
    scored = len(log.read_text().splitlines()) - 1 if log.exists() else 0
    return 2 <= scored <= 10 and not (run / "standalone").exists()


def in_audit(run: Path) -> bool:
    if not (run / "found.json").exists() or (run / "audit.json").exists():
        return False
    return any(under_way(s) for s in states(run, "standalone").values())


def in_retrain(run: Path) -> bool:
    if (run / "retrain.json").exists():
        return False
    return any(under_way(s) for s in states(run, "retrain").values())


# -- killing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "real"), [(in_parent, True), (in_region, False), (in_audit, False)]
)
def test_killed_in_a_training_of_the_search(
    stage: Stage, real: bool, reference: Path, tmp_path: Path
) -> None:
    folder = killed_in(stage, "search", SEARCH, tmp_path, None, real=real)
    assert (folder / "run" / "found.json").exists() == (stage is in_audit)
    again = succeed("search", SEARCH, folder)
    # Not from the start: that would give the same weights and prove nothing about checkpoints.
    assert "continuing from step" in again.out
    assert outcome(folder / "run") == outcome(reference)


def test_killed_in_the_search(reference: Path, tmp_path: Path) -> None:
    folder = killed_in(in_search, "search", SEARCH, tmp_path, None)
    before = completed(folder / "run")
    assert not (folder / "run" / "trials.csv").exists()
    succeed("search", SEARCH, folder)
    assert completed(folder / "run")[: len(before)] == before  # kept, not searched again
    assert outcome(folder / "run") == outcome(reference)


def test_killed_in_a_search_by_a_proxy(tmp_path: Path) -> None:
    """Networks that nobody trains are the same ones in another process."""
    words = words_of(SETTINGS | {"evaluator": "naswot", "audit.networks": 0}, run="run")
    (tmp_path / "whole").mkdir()
    succeed("search", words, tmp_path / "whole")
    folder = killed_in(in_search, "search", words, tmp_path, None)
    before = completed(folder / "run")
    succeed("search", words, folder)
    assert completed(folder / "run")[: len(before)] == before
    for name in ("trials.csv", "found.json"):
        whole, resumed = (path / "run" / name for path in (tmp_path / "whole", folder))
        assert resumed.read_text() == whole.read_text()


@pytest.mark.parametrize("strategy", ["hyperband", "nsga2"])
def test_killed_in_a_search_with(strategy: str, reference: Path, tmp_path: Path) -> None:
    """Parts of the budget, and two objectives; the supernets are those of the reference."""
    changes = {"strategy": strategy, "search.trials": 8, "audit.networks": 0}
    words = words_of(SETTINGS | changes, run="run")
    for name in ("whole", "start"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run").mkdir()
        shutil.copytree(reference / "checkpoints", tmp_path / name / "run" / "checkpoints")
        recipe = (reference / "recipe.yaml").read_text()
        for key, old, new in (
            ("name", "rea", strategy), ("trials", "14", "8"), ("networks", "4", "0"),
        ):  # fmt: skip
            assert f"  {key}: {old}\n" in recipe
            recipe = recipe.replace(f"  {key}: {old}\n", f"  {key}: {new}\n")
        (tmp_path / name / "run" / "recipe.yaml").write_text(recipe)
    succeed("search", words, tmp_path / "whole")
    folder = killed_in(in_search, "search", words, tmp_path, tmp_path / "start" / "run")
    before = completed(folder / "run")
    succeed("search", words, folder)
    assert completed(folder / "run")[: len(before)] == before
    for name in ("trials.csv", "found.json", "pareto.json"):
        whole, resumed = (path / "run" / name for path in (tmp_path / "whole", folder))
        assert resumed.read_text() == whole.read_text()


def test_a_run_of_an_earlier_version_goes_on(reference: Path, tmp_path: Path) -> None:
    """Its study is a SQLite file, and its strategy has another name."""
    shutil.copytree(reference, tmp_path / "run")
    as_before(tmp_path / "run")
    for name in ("trials.csv", "found.json"):
        (tmp_path / "run" / name).unlink()
    succeed("search", [*SEARCH, "strategy=evolution"], tmp_path)
    assert (tmp_path / "run" / "trials.csv").read_text() == (reference / "trials.csv").read_text()
    assert not (tmp_path / "run" / "study.log").exists()


def test_killed_in_the_scores_of_the_audit(reference: Path, tmp_path: Path) -> None:
    folder = killed_in(in_audit_scores, "search", SEARCH, tmp_path, None)
    kept = (folder / "run" / "audit-scores.csv").read_text()
    succeed("search", SEARCH, folder)
    assert (folder / "run" / "audit-scores.csv").read_text().startswith(kept)
    assert outcome(folder / "run") == outcome(reference)


@pytest.fixture(scope="module")
def searched(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference as it was before retraining."""
    run = tmp_path_factory.mktemp("searched") / "run"
    shutil.copytree(reference, run)
    shutil.rmtree(run / "retrain")
    (run / "retrain.json").unlink()
    return run


def test_killed_in_retraining(reference: Path, searched: Path, tmp_path: Path) -> None:
    folder = killed_in(in_retrain, "retrain", RETRAIN, tmp_path, searched)
    again = succeed("retrain", RETRAIN, folder)
    assert "continuing from step" in again.out
    assert retrained(folder / "run") == retrained(reference)
    assert outcome(folder / "run") == outcome(reference)


def test_killed_again_and_again_at_random_moments(reference: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    kills = 0
    for tool, words, times in (("search", SEARCH, 4), ("retrain", RETRAIN, 2)):
        for _ in range(times):
            done = kill_after(rng.uniform(0.3, 1.8), tool, words, tmp_path)
            assert done.code in (-9, 0), done.err
            kills += done.code == -9
        succeed(tool, words, tmp_path)
    assert kills >= 3
    assert outcome(tmp_path / "run") == outcome(reference)
    assert retrained(tmp_path / "run") == retrained(reference)
    assert not list((tmp_path / "run").rglob("step-*.pt"))


def kill_after(seconds: float, tool: str, words: list[str], folder: Path) -> Done:
    process = Running(tool, words, folder)
    end = time.monotonic() + seconds
    while process.alive() and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    return process.wait()


def test_a_finished_run_is_only_reported(reference: Path, tmp_path: Path) -> None:
    shutil.copytree(reference, tmp_path / "run")
    before = stamps(tmp_path / "run")
    results = outcome(tmp_path / "run"), retrained(tmp_path / "run")
    succeed("search", SEARCH, tmp_path)
    again = succeed("retrain", RETRAIN, tmp_path)
    assert "then measured on the test images" in again.out
    assert stamps(tmp_path / "run") == before
    assert (outcome(tmp_path / "run"), retrained(tmp_path / "run")) == results


def stamps(run: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of the weights, their states and the study."""
    files = [run / "study.log", *run.rglob("weights.safetensors"), *run.rglob("state.json")]
    return {str(f.relative_to(run)): (f.stat().st_mtime_ns, f.read_bytes()) for f in sorted(files)}


def test_two_at_once_do_not_meet(searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched, tmp_path / "run")
    first = Running("retrain", RETRAIN, tmp_path)
    while first.alive() and not in_retrain(tmp_path / "run"):
        time.sleep(0.003)
    second = Running("retrain", RETRAIN, tmp_path).wait()
    assert second.code == 2
    assert "in use by another process" in second.err
    first.kill()
    assert first.wait().code == -9  # so it was still at work when the second one came
