"""A region whose training diverges is given up, and the others go on."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import torch

from tests.tools.conftest import copy, finished  # noqa: F401
from tests.tools.process import Running, run_tool, succeed, words_of
from tests.tools.tiny import TINY

LOST = "edge_1_0=none+skip_connect"
SETTINGS = TINY | {"audit.networks": 3}


def poison(name: str) -> None:
    """Run in the process: the gradient of every training of that name is no number."""
    import fewshot_core.training.loop as training

    plain = training._Run._step

    def step(self: training._Run, step: int) -> dict[str, torch.Tensor]:
        logged = plain(self, step)
        return logged | (
            {"gradient norm": torch.tensor(math.nan)} if name in self.stage.name else {}
        )

    training._Run._step = step  # type: ignore[method-assign]


def poisoned(name: str, words: list[str], cwd: Path, tool: str = "search") -> tuple[int, str, str]:
    done = Running(tool, words, cwd, prepare=poison, arguments=(name,)).wait()
    return done.code, done.out, done.err


def test_the_other_regions_go_on(tmp_path: Path) -> None:
    words = words_of(SETTINGS, run="run")
    code, out, err = poisoned(LOST, words, tmp_path)
    assert (code, err) == (0, "")
    run = tmp_path / "run"
    line = f"diverged, its region is left out: {LOST} (supernet {LOST}: gradient norm is nan at"
    assert out.replace("\n", " ").count(line) == 2  # after the trainings and at the end
    assert "once more from step 0" in out
    with (run / "trials.csv").open(newline="") as file:
        regions = {row["region"] for row in csv.DictReader(file)}
    assert regions == {"edge_1_0=nor_conv_1x1+nor_conv_3x3+avg_pool_3x3"}
    report = (run / "report.html").read_text()
    assert f"Diverged, and left out of the search: {LOST}" in report
    assert (run / "audit.json").exists()

    # The same command, without the fault: what was found with one region less stays as it is.
    before = (run / "trials.csv").read_text()
    again = succeed("search", words, tmp_path)
    assert "its region is left out" in again.out
    assert (run / "trials.csv").read_text() == before


def test_without_any_region_there_is_nothing_to_search(tmp_path: Path) -> None:
    for name in ("root", "edge_1_0"):
        code, _, err = poisoned(name, words_of(SETTINGS, run=name), tmp_path)
        assert code == 2
        assert err.count("\n") == 1
        assert "no region has a supernet" in err
        assert "gradient norm is nan at step 0" in err
        assert not (tmp_path / name / "trials.csv").exists()


def test_a_network_that_diverges_is_left_out_of_the_audit(
    finished: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with (finished / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    trained = sorted(p.name for p in (finished / "standalone").iterdir())
    one = trained[0].split("-")[0]
    code, out, _ = poisoned(one, words_of(TINY, run="run"), tmp_path)
    assert code == 0
    assert f"a network is left out: network {one}" in out
    assert json.loads((tmp_path / "run" / "audit.json").read_text())["networks"] == len(rows) - 1


def test_a_standalone_score_that_diverges_is_the_worst(tmp_path: Path) -> None:
    changes = {"evaluator": "standalone", "evaluator.epochs": 0.5, "audit.networks": 0}
    words = words_of(TINY | changes, run="whole")
    succeed("search", words, tmp_path)
    best = json.loads((tmp_path / "whole" / "found.json").read_text())["id"]
    code, _, err = poisoned(best, words_of(TINY | changes, run="run"), tmp_path)
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "run" / "found.json").read_text())["id"] != best
    assert succeed("report", ["run=run"], tmp_path)


def test_retraining_trains_the_others_before_it_says_so(copy: Path) -> None:  # noqa: F811
    folder = copy.parent
    for path in (copy / "retrain").rglob("*"):
        if path.is_file():
            path.unlink()
    code, _, err = poisoned("found (seed 0)", ["run=run"], folder, "retrain")
    assert code == 2
    assert "found (seed 0): gradient norm is nan at step 0" in err
    done = [json.loads(p.read_text())["done"] for p in copy.glob("retrain/*/state.json")]
    assert sorted(done) == [False, True, True]
    assert run_tool("retrain", ["run=run"], folder).code == 2
