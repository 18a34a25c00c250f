"""A sweep from the command line: killed in the middle, continued, retrained, compared."""

from __future__ import annotations

import csv
import json
import shutil
import time
from pathlib import Path

import pytest

from fewshot_core.runs.checkpoint import StageCheckpoint
from tests.shared import once

from .process import Running, run_here, run_tool, succeed, words_of
from .tiny import TINY

SMALL = TINY | {"audit.networks": 0, "search.trials": 6, "retrain.compare": "[]"}
SWEPT = ["seed=0,1", "strategy=random,rea", "strategy.population=4", "strategy.sample=2"]
NAMES = [f"seed={seed}+strategy={name}" for seed in (0, 1) for name in ("random", "rea")]


def sweep_words(folder: str) -> list[str]:
    return [*words_of(SMALL | {"strategy": "random"}), *SWEPT, f"run={folder}"]


def states(folder: Path) -> dict[str, str]:
    path = folder / "sweep.json"
    if not path.exists():
        return {}
    return {one["name"]: one["state"] for one in json.loads(path.read_text())["members"]}


def make_sweep(folder: Path) -> None:
    """``sweep`` in the folder: killed after its first run, continued, and retrained."""
    tool = Running("search", sweep_words("sweep"), folder)
    while states(folder / "sweep").get(NAMES[0]) != "done":
        assert tool.alive()
        time.sleep(0.02)
    tool.kill()
    assert tool.wait().code == -9
    found = folder / "sweep" / NAMES[0] / "found.json"
    before = found.stat().st_mtime_ns
    done = succeed("search", ["run=sweep"], folder)
    assert found.stat().st_mtime_ns == before
    assert f"run 1 of 4: {NAMES[0]}: done before" in done.out
    assert f"with the supernets of {NAMES[0]}" in done.out
    assert done.out.count("trained in another run") == 2 * 3  # root and two regions, of each seed
    succeed("retrain", ["sweep=sweep"], folder)


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two strategies and two seeds. Not to be changed."""
    return once(tmp_path_factory, "sweep", make_sweep) / "sweep"


def test_a_killed_sweep_goes_on_and_ends(sweep: Path, tmp_path: Path) -> None:
    assert states(sweep) == dict.fromkeys(NAMES, "done")
    again = succeed("search", [f"run={sweep}"], tmp_path)
    assert again.out.count("done before") == 4
    again = succeed("retrain", [f"run={sweep}"], tmp_path)
    assert again.out.count("done before") == 4


def test_supernets_are_trained_once(sweep: Path) -> None:
    for seed in (0, 1):
        first, second = (sweep / f"seed={seed}+strategy={name}" for name in ("random", "rea"))
        for path in (first / "checkpoints").rglob("weights.safetensors"):
            twin = second / path.relative_to(first)
            assert path.stat().st_ino == twin.stat().st_ino
            assert StageCheckpoint(twin.parent).load_finished()
        assert json.loads((second / "checkpoints" / "shared.json").read_text()) == {
            "from": f"../{first.name}"
        }
    other = (sweep / NAMES[2] / "checkpoints" / "root" / "weights.safetensors").read_bytes()
    assert other != (sweep / NAMES[0] / "checkpoints" / "root" / "weights.safetensors").read_bytes()


def test_a_run_of_a_sweep_is_that_run_alone(sweep: Path, tmp_path: Path) -> None:
    words = words_of(SMALL | {"strategy": "rea", "seed": 1})
    succeed("search", [*words, "run=alone"], tmp_path)
    succeed("retrain", ["run=alone"], tmp_path)
    for name in ("found.json", "trials.csv"):
        assert (tmp_path / "alone" / name).read_text() == (sweep / NAMES[3] / name).read_text()
    mine, theirs = (
        json.loads((folder / "retrain.json").read_text())["results"][0]["test"]
        for folder in (tmp_path / "alone", sweep / NAMES[3])
    )
    assert mine == theirs


def test_a_sweep_is_compared(sweep: Path, tmp_path: Path) -> None:
    words = [str(sweep), "csv=a.csv", "plot=a.svg"]
    done = succeed("compare", words, tmp_path, pictures=True)
    assert "strategy=random: not tested, too few common seeds" not in done.out  # it is the first
    assert "strategy=rea: not tested, too few common seeds (least: 3)" in done.out
    assert "were trained once" in done.out
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["runs"], row["seeds"]) for row in rows] == [
        ("strategy=random", "0 1"),
        ("strategy=rea", "0 1"),
    ]
    tests = [
        json.loads((sweep / name / "retrain.json").read_text())["results"][0]["test"]["accuracy"]
        for name in NAMES
    ]
    assert float(rows[0]["test accuracy mean"]) == pytest.approx((tests[0] + tests[2]) / 2)
    assert "strategy=rea" in (tmp_path / "a.svg").read_text()


def test_a_sweep_is_retrained_otherwise_beside_what_there_is(sweep: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(sweep, copied)
    words = [f"sweep={copied}", "retrain.epochs=0.25", "retrain.compare=[]"]
    done = succeed("retrain", words, tmp_path)
    assert "done before" not in done.out
    for name in NAMES:
        results = json.loads((copied / name / "retrain.json").read_text())["results"]
        labels = {one["label"] for one in results}
        assert "found" in labels
        assert any("retrain.epochs=0.25" in label for label in labels)
    line = refusal_of("retrain", [f"sweep={copied}", "trial=1"], tmp_path)
    assert "trial=1 does not go with the sweep" in line


def refusal_of(tool: str, words: list[str], cwd: Path) -> str:
    done = run_here(tool, words, cwd)
    assert done.code == 2
    return done.err


def test_a_run_that_diverges_is_told_at_the_end(tmp_path: Path) -> None:
    settings = SMALL | {"strategy": "random", "supernet.grad_clip": "none"}
    words = [*words_of(settings), "supernet.lr=1e30,0.1", "run=sweep"]
    done = run_tool("search", words, tmp_path)
    assert done.code == 2
    assert states(tmp_path / "sweep") == {"supernet.lr=1e30": "failed", "supernet.lr=0.1": "done"}
    line = done.err.strip().splitlines()[-1]
    assert line.startswith("error: 1 of 2 runs of the sweep have failed | found: supernet.lr=1e30:")
    done = succeed("retrain", ["sweep=sweep"], tmp_path)
    assert "left out, for their search has not ended: supernet.lr=1e30" in done.out


@pytest.mark.parametrize(
    ("tool", "words", "what"),
    [
        # A limit that no network satisfies is known when the whole sweep is looked at.
        ("search", ["recipe=digits", "constraint.flops=1M,1", "run=new"], "constraint.flops=1"),
        ("search", ["recipe=digits", "seed=0,1", "strategy=reaa", "run=new"], "reaa"),
        ("search", ["recipe=digits", "seed=0,1", "run=taken"], "not the folder of a sweep"),
        ("retrain", ["sweep=taken"], "no folder of a sweep"),
    ],
)
def test_bad_words_leave_nothing_behind(
    tmp_path: Path, tool: str, words: list[str], what: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("")
    done = run_tool(tool, words, tmp_path)
    assert done.code == 2
    assert what in done.err
    assert done.err.count("\n") == 1
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["taken"]
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]
