"""Whole runs with plug-ins of somebody else, named by their paths in recipes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from . import own_plugins
from .process import run_here, words_of
from .tiny import TINY

HERE = own_plugins.__name__
OWN = ("split", "strategy", "supernet", "regions", "evaluator", "audit")
BASE = {key: value for key, value in TINY.items() if not key.startswith(OWN)}
BASE["audit.networks"] = 0


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_strategy_and_an_evaluator_search_and_are_reported(tmp_path: Path) -> None:
    own = {
        "strategy": f"{HERE}:Guess",
        "strategy.width": 2,
        "evaluator": f"{HERE}:Count",
        "evaluator.option": "skip_connect",
    }
    done = run_here("search", words_of(BASE | own, run="run"), tmp_path)
    assert done.code == 0, done.err
    for row in rows_of(tmp_path / "run"):
        assert float(row["score"]) == row["architecture"].count("skip_connect")
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"what evaluator={HERE}:Count gives (counts an option)" in page
    assert f"strategy {HERE}:Guess" in page or f"{HERE}:Guess</code>" in page
    # The run goes on as any other: with what it has, nothing is left to do.
    again = run_here("search", ["run=run"], tmp_path)
    assert again.code == 0, again.err


def test_a_splitter_and_a_path_policy_train(tmp_path: Path) -> None:
    own = {
        "split": f"{HERE}:make_edge",
        "split.edge": "edge_2_1",
        "split.when": "always",
        "supernet.paths": f"{HERE}:make_even",
        "supernet.epochs": 0.5,
        "regions.epochs": 0.2,
        "evaluator.recalibrate": 0,
        "evaluator.images": 20,
    }
    done = run_here("search", words_of(BASE | own, run="run"), tmp_path)
    assert done.code == 0, done.err
    tree = json.loads((tmp_path / "run" / "regions.json").read_text())
    names = [child["region"]["id"] for child in tree["children"]]
    assert len(names) == 5
    assert all("edge_2_1" in name for name in names)
    assert {row["region"] for row in rows_of(tmp_path / "run")} <= {*names}


@pytest.mark.parametrize("word", [f"strategy={HERE}:Count", "evaluator=no.such:Thing"])
def test_a_path_to_something_else_leaves_nothing_behind(word: str, tmp_path: Path) -> None:
    done = run_here("search", ["recipe=digits", word, "run=run"], tmp_path)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
