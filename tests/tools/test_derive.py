"""The differentiable strategies from the command line: killed, crowded, with a learned split."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .killing import Stage, in_parent, in_region, killed_in
from .outcome import weights
from .process import TOOLS, run_tool, succeed, words_of
from .test_flow import LAUNCH, PLAIN
from .tiny import TINY

# Regions are learned from the gradients of the parent, so that it has to be the same one again.
SETTINGS: dict[str, object] = {key: v for key, v in TINY.items() if not key.startswith("split")} | {
    "split": "gradients",
    "split.count": 2,
    "split.samples": 4,
    "supernet.batch_size": 16,
    "supernet.epochs": 5,
    "regions.batch_size": 16,
    "regions.epochs": 5,
    "preferences.samples": 4,
    "audit.networks": 0,
}


def outcome(run: Path) -> dict[str, Any]:
    """Everything that must not depend on interruptions."""
    names = ("trials.csv", "found.json", "pareto.json", "derived.json", "regions.json")
    return {name: (run / name).read_text() for name in names} | {
        "weights": weights(run, "checkpoints")
    }


@pytest.mark.parametrize(
    ("strategy", "stage"),
    [("darts", in_parent), ("pcdarts", in_region), ("enas", in_parent), ("setn", in_region)],
)
def test_killed_and_continued(strategy: str, stage: Stage, tmp_path: Path) -> None:
    words = words_of(SETTINGS | {"strategy": strategy}, run="run")
    (tmp_path / "whole").mkdir()
    succeed("search", words, tmp_path / "whole")
    whole = outcome(tmp_path / "whole" / "run")
    assert len(whole["weights"]) == 3
    assert len(json.loads(whole["derived.json"])) == 2

    folder = killed_in(stage, "search", words, tmp_path, None)
    assert not (folder / "run" / "derived.json").exists()
    again = succeed("search", words, folder)
    assert "continuing from step" in again.out
    assert outcome(folder / "run") == whole


def test_the_second_order(tmp_path: Path) -> None:
    words = {"strategy": "darts", "supernet.epochs": 1, "regions.epochs": 1}
    found = []
    for order in (1, 2):
        more = {"preferences.order": order, "run": f"run{order}"}
        succeed("search", words_of(SETTINGS | words | more), tmp_path)
        found.append(json.loads((tmp_path / f"run{order}" / "derived.json").read_text()))
    assert [row["region"] for row in found[0]]
    assert found[0] != found[1]


def test_two_processes_are_refused(tmp_path: Path) -> None:
    """In one line, and before anything is written; the launcher has more to say."""
    words = words_of(TINY | {"strategy": "darts"}, run="run")
    flags = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
    done = subprocess.run(
        [*LAUNCH, *flags, *PLAIN, str(TOOLS / "search.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "strategy=darts trains a supernet on one process" in errors[0]
    assert "--num_processes 1" in errors[0]
    assert "most recent call last" not in done.stderr.split("error: ")[0]
    assert not (tmp_path / "run").exists()


def test_strategies_are_listed(tmp_path: Path) -> None:
    listed = succeed("search", ["--list-strategies"], tmp_path).out.splitlines()
    assert [line.split()[0] for line in listed] == [
        *("random", "rea", "reinforce", "multilevel", "hyperband", "bohb", "smac", "tpe", "nsga2"),
        *("darts", "pcdarts", "enas", "setn"),
    ]


def test_what_they_derive_is_ranked_retrained_and_exported(truth: Path, tmp_path: Path) -> None:
    """The tools that come after a search take its supernets as any others."""
    changes = {"strategy": "pcdarts", "supernet.epochs": 1, "regions.epochs": 1}
    succeed("search", words_of(SETTINGS | changes | {"audit.networks": 3}, run="run"), tmp_path)
    succeed("rank", ["run=run", f"truth={truth}", "column=accuracy"], tmp_path)
    succeed("retrain", ["run=run"], tmp_path)
    succeed("export", ["run=run"], tmp_path)
    rows = json.loads((tmp_path / "run" / "ranking.json").read_text())["predictors"]
    assert any(name.startswith("few-shot") for name in rows)
    assert (tmp_path / "run" / "export" / "model.onnx").exists()
    page = (tmp_path / "run" / "report.html").read_text()
    assert "2 regions named 2 architectures" in page
    assert run_tool("report", ["run=run"], tmp_path).code == 0


@pytest.mark.parametrize("strategy", ["enas", "setn"])
def test_generators_have_no_loss_to_learn_from(strategy: str, tmp_path: Path) -> None:
    words = ["recipe=autogan_digits", f"strategy={strategy}", "data.limit=200", "run=run"]
    done = run_tool("search", words, tmp_path)
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: the loss of AdversarialSupernet does not tell how good an architecture is "
        "| to mend it: use a strategy that asks for scores"
    ]
    assert not (tmp_path / "run").exists()


def test_mixtures_of_mobile_networks_are_refused(tmp_path: Path) -> None:
    done = run_tool("search", ["recipe=mobile_digits", "strategy=darts", "run=run"], tmp_path)
    assert done.code == 2
    assert "MobileSupernet cannot run its options as a mixture" in done.err
    assert "or enas" in done.err
    assert not (tmp_path / "run").exists()
