"""The differentiable strategies from the command line: killed, crowded, with a learned split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import disturbed
from tests.faults.moments import named

from .outcome import weights
from .process import launch, run_here, succeed, words_of
from .tiny import TINY

# Regions are learned from the gradients of the parent, so that it has to be the same one again.
SETTINGS: dict[str, object] = {key: v for key, v in TINY.items() if not key.startswith("split")} | {
    "split": "gradients",
    "split.count": 2,
    "split.samples": 4,
    "supernet.batch_size": 16,
    "regions.batch_size": 16,
    "preferences.samples": 4,
    "audit.networks": 0,
}


def outcome(run: Path) -> dict[str, Any]:
    """Everything that must not depend on interruptions."""
    names = ("trials.csv", "found.json", "pareto.json", "derived.json", "regions.json")
    return {name: (run / name).read_text() for name in names} | {
        "weights": weights(run, "checkpoints")
    }


@pytest.mark.parametrize(("strategy", "region"), [("pcdarts", False), ("enas", True)])
def test_killed_and_continued(strategy: str, region: bool, tmp_path: Path) -> None:
    """While the parent is trained, or the region that comes last.

    A mixture and a controller; all four go on in `DerivationSuite`, without a death of the process.
    """
    words, log = words_of(SETTINGS | {"strategy": strategy}, run="run"), tmp_path / "log"
    (tmp_path / "whole").mkdir()
    assert disturbed("search", words, tmp_path / "whole", 0, "", log).code == 0
    whole = outcome(tmp_path / "whole" / "run")
    assert len(whole["weights"]) == 3
    assert len(json.loads(whole["derived.json"])) == 2

    steps = [line for line in log.read_text().splitlines() if line.startswith("step of")]
    part = steps[-1] if region else steps[0]
    assert disturbed("search", words, tmp_path, named(log, part, 0.99), "kill").code == -9
    assert not (tmp_path / "run" / "derived.json").exists()
    again = succeed("search", words, tmp_path)
    assert "continuing from step" in again.out
    assert outcome(tmp_path / "run") == whole


def test_the_second_order(tmp_path: Path) -> None:
    words = {"strategy": "darts", "supernet.batch_size": 64, "regions.batch_size": 64}
    found = []
    for order in (1, 2):
        more = {"preferences.order": order, "run": f"run{order}"}
        succeed("search", words_of(SETTINGS | words | more), tmp_path)
        found.append(json.loads((tmp_path / f"run{order}" / "derived.json").read_text()))
    assert [row["region"] for row in found[0]]
    assert found[0] != found[1]


def test_two_processes_are_refused(tmp_path: Path) -> None:
    """In one line, and before anything is written."""
    words = words_of(TINY | {"strategy": "darts"}, run="run")
    main, other = (one.wait() for one in launch(2, "search", words, tmp_path))
    assert [main.code, other.code] == [2, 2]
    assert (main.err.count("\n"), other.err) == (1, "")
    assert "error: strategy=darts trains a supernet on one process" in main.err
    assert "--num_processes 1" in main.err
    assert "processes=regions" in main.err
    assert not (tmp_path / "run").exists()


def test_strategies_are_listed(tmp_path: Path) -> None:
    listed = run_here("search", ["--list-strategies"], tmp_path).out.splitlines()
    assert [line.split()[0] for line in listed] == sorted(
        [
            *("random", "rea", "reinforce", "multilevel", "hyperband", "bohb", "smac", "tpe"),
            *("nsga2", "lanas", "darts", "pcdarts", "enas", "setn"),
        ]
    )


def test_what_they_derive_is_ranked_retrained_and_exported(truth: Path, tmp_path: Path) -> None:
    """The tools that come after a search take its supernets as any others."""
    changes = {"strategy": "pcdarts", "supernet.batch_size": 64, "regions.batch_size": 64}
    succeed("search", words_of(SETTINGS | changes | {"audit.networks": 3}, run="run"), tmp_path)
    succeed("rank", ["run=run", f"truth={truth}", "column=accuracy"], tmp_path)
    succeed("retrain", ["run=run"], tmp_path)
    succeed("export", ["run=run"], tmp_path)
    rows = json.loads((tmp_path / "run" / "ranking.json").read_text())["predictors"]
    assert any(name.startswith("few-shot") for name in rows)
    assert (tmp_path / "run" / "export" / "model.onnx").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "2 regions named 2 architectures" in page


@pytest.mark.parametrize("strategy", ["enas", "setn"])
def test_generators_have_no_loss_to_learn_from(strategy: str, tmp_path: Path) -> None:
    words = ["recipe=autogan_digits", f"strategy={strategy}", "data.limit=200", "run=run"]
    done = run_here("search", words, tmp_path)
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: the loss of AdversarialSupernet does not tell how good an architecture is "
        "| to fix: use a strategy that asks for scores"
    ]
    assert not (tmp_path / "run").exists()


def test_mixtures_of_mobile_networks_are_refused(tmp_path: Path) -> None:
    done = run_here("search", ["recipe=mobile_digits", "strategy=darts", "run=run"], tmp_path)
    assert done.code == 2
    assert "MobileSupernet cannot run its options as a mixture" in done.err
    assert "or enas" in done.err
    assert not (tmp_path / "run").exists()
