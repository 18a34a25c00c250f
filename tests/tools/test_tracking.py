"""Tracked runs: killed, continued, and read by the reader of TensorBoard."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fewshot_core.runs.checkpoint import StageCheckpoint
from tests.runs.test_tracking import read_scalars

from .process import Running, run_tool, succeed, words_of
from .tiny import TINY

SETTINGS = TINY | {"audit.networks": 0, "supernet.epochs": 8, "retrain.compare": "[]"}
REGION = "edge_1_0=none+skip_connect"


def test_curves_of_a_killed_run_have_every_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    run = tmp_path / "run"
    words = [*words_of(SETTINGS), "track=tensorboard", "run=run"]
    tool = Running("search", words, tmp_path)
    root = run / "checkpoints" / "root"
    while not list(root.glob("step-*.pt")):
        assert tool.alive()
        time.sleep(0.01)
    tool.kill()
    tool.wait()
    succeed("search", words, tmp_path, pictures=True)
    succeed("retrain", ["run=run"], tmp_path, pictures=True)
    succeed("retrain", ["run=run"], tmp_path, pictures=True)  # it sends nothing again
    found = read_scalars(run / "logs" / "tensorboard")
    for name, tag in (("root", "supernet root"), (REGION, f"supernet {REGION}")):
        history = StageCheckpoint(run / "checkpoints" / name).state().history
        sent = found[f"{tag.replace('=', '_').replace('+', '_')}/loss"]
        assert sent == [(int(step), pytest.approx(loss)) for step, loss in history]
    assert [step for step, _ in found["search/score"]] == list(range(8))
    result = json.loads((run / "retrain.json").read_text())["results"][0]
    assert found["test found/accuracy"] == [(0, pytest.approx(result["test"]["accuracy"]))]
    assert "cost" in json.loads((run / "logs" / "sent.json").read_text())["pictures"]


def test_trackers_change_no_result_and_leave_nothing_when_off(tmp_path: Path) -> None:
    words = words_of(TINY | {"audit.networks": 0})
    done = run_tool("search", [*words, "run=off", "track=none"], tmp_path)
    assert done.code == 0
    assert not (tmp_path / "off" / "logs").exists()
    done = run_tool("search", [*words, "run=new", "track=comet_ml"], tmp_path)
    assert done.code == 2
    assert done.err.strip().endswith("to fix: pip install comet_ml")
    assert not (tmp_path / "new").exists()
