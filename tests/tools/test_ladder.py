"""A search that ends with a ladder of trainings, tiny; killed on the way, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.moments import named, watch
from tests.tools.process import Running, run_tool, succeed, words_of
from tests.tools.refusals import refused
from tests.tools.tiny import MOBILE, TINY

LADDER = {
    "audit.networks": 0,
    "ladder.networks": 4,
    "ladder.epochs": 1.5,
    "ladder.rungs": 2,
    "ladder.keep": 0.5,
}
TASKS = {"cells": TINY | LADDER | {"split": "none"}, "mobile": MOBILE | LADDER | {"split": "none"}}
FILES = ("found.json", "ladder.json", "ladder.csv", "trials.csv")


def searched(folder: Path, task: str, at: int = 0, fault: str = "") -> int:
    """Search with a log of moments, and a fault at one; returns the exit code."""
    folder.mkdir(exist_ok=True)
    words = words_of(TASKS[task], run="run")
    log = folder / "moments"
    return Running("search", words, folder, prepare=watch, arguments=(log, at, fault)).wait().code


@pytest.mark.parametrize("task", TASKS)
def test_a_ladder_that_was_killed_ends_with_the_same_bits(tmp_path: Path, task: str) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert searched(whole, task) == 0
    moment = named(whole / "moments", "step of network", 0.6)
    assert searched(killed, task, moment, "kill") == -9
    assert not (killed / "run" / "ladder.json").exists()
    refused(run_tool("retrain", ["run=run"], killed), "holds no finished search")
    assert searched(killed, task) == 0
    for name in FILES:
        assert (killed / "run" / name).read_bytes() == (whole / "run" / name).read_bytes(), name


def test_what_is_handed_over_is_the_best_of_the_last_rung(tmp_path: Path) -> None:
    assert searched(tmp_path, "cells") == 0
    run = tmp_path / "run"
    rungs = json.loads((run / "ladder.json").read_text())["rungs"]
    assert [rung["networks"] for rung in rungs] == [4, 2]
    found = json.loads((run / "found.json").read_text())
    last = (run / "ladder.csv").read_text().splitlines()[5]
    assert found["genotype"] in last
    assert found["ladder"].keys() == {"accuracy", "loss"}
    succeed("retrain", ["run=run"], tmp_path)
    succeed("export", ["run=run"], tmp_path)
    card = (run / "export" / "README.md").read_text()
    chosen = "chosen by short trainings from scratch of 4 networks, then longer ones of 2"
    assert chosen in " ".join(card.split())
    report = (run / "report.html").read_text()
    assert "the last choice was made by short trainings from scratch of 4 networks" in report
    assert "to train the networks of the ladder" in report


def test_without_a_supernet_the_largest_begin(tmp_path: Path) -> None:
    words = words_of(
        TASKS["cells"] | {"evaluator": "counting", "search.trials": 30, "retrain.epochs": 0.1},
        run="run",
    )
    succeed("search", words, tmp_path)
    found = json.loads((tmp_path / "run" / "found.json").read_text())
    assert found["score"] == found["costs"]["connected_params"]
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert "the larger network counts" in (tmp_path / "run" / "report.html").read_text()
