"""``retrain.start=timm:NAME``: networks that begin with the weights of a stock model."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.models import save_for_hf

from fewshot_core.runs.files import digest_of_weights
from fewshot_core.training import loop as training
from tests.shared import once

from .outcome import retrained
from .process import run_here, run_tool, succeed, words_of
from .refusals import refused
from .tiny import MOBILE, TINY

SETTINGS: dict[str, object] = {
    **{key: MOBILE[key] for key in ("recipe", "threads", "data.limit", "network.strides")},
    "network.width": 1,
    "network.units": "[1,2]",
    "network.expansions": "[2,3,6]",
    "evaluator": "counting",
    "strategy": "random",
    "constraint.flops": "20M",
    "search.trials": 3,
    "audit.networks": 0,
    "ladder.networks": 0,
    "retrain.compare": "[random]",
    "retrain.epochs": 0.5,
}
STILL = ("retrain.lr=1e-30", "retrain.weight_decay=0", "retrain.freeze_norm=true")
"""Steps too small to change anything."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose networks have widths of MobileNetV3, and stock models."""

    def make(folder: Path) -> None:
        torch.manual_seed(0)
        for name in ("mobilenetv3_large_100", "test_resnet"):
            model = timm.create_model(name, num_classes=10)
            save_for_hf(model, folder / name, safe_serialization=True)
        succeed("search", words_of(SETTINGS, run="run"), folder)

    return once(tmp_path_factory, "stock-start", make)


def start_from(made: Path, name: str = "mobilenetv3_large_100") -> str:
    return f"retrain.start=timm:local-dir:{made / name}"


def row(run: Path, kind: str) -> dict[str, Any]:
    results = json.loads((run / "retrain.json").read_text())["results"]
    (found,) = [result for result in results if result["label"].startswith(kind)]
    return dict(found)


def trained(run: Path, result: dict[str, Any]) -> Path:
    """The folder of a result's training."""
    (found,) = (run / "retrain").glob(f"{result['id']}-*/")
    return found


def test_networks_begin_with_what_fits(run: Path, made: Path) -> None:
    words = ["run=run", start_from(made), *STILL, "retrain.layer_decay=0.8"]
    done = run_here("retrain", words, run.parent)
    assert done.code == 0, done.err
    model = timm.create_model(
        f"local-dir:{made / 'mobilenetv3_large_100'}", pretrained=True, in_chans=1
    )
    text = " ".join(done.out.split())
    for kind in ("found", "random"):
        result = row(run, kind)
        folder = trained(run, result)
        report = json.loads((folder / "weights.json").read_text())
        assert result["start"] == report["weights"] == start_from(made).partition("=")[2]
        assert report["sha256"] == digest_of_weights(model)
        assert f"{report['sha256'][:16]}: {len(report['copied'])} copied, " in text
        assert report["copied"]["conv_stem.weight"] == "conv_stem.weight"
        assert report["sliced"] or report["grown"]
        kept, given = load_file(folder / "weights.safetensors"), model.state_dict()
        taken = [report.get(word, {}) for word in ("copied", "sliced", "derived", "grown")]
        assert kept.keys() == {*report["left"], *(name for pairs in taken for name in pairs)}
        for name, source in report["copied"].items():
            torch.testing.assert_close(kept[name], given[source], rtol=0, atol=1e-20)
    page = (run / "report.html").read_text()
    assert "from the weights of the stock model in the folder mobilenetv3_large_100" in page
    card = _card(run)
    assert "began with the weights in the folder mobilenetv3_large_100; where they have a" in card
    assert "published weights" not in card


def _card(run: Path) -> str:
    label = row(run, "found")["label"]
    succeed("export", ["run=run", f"label={label}", "out=out"], run.parent)
    return " ".join((run.parent / "out" / "README.md").read_text().split())


def kill_at(step: int) -> None:
    """In a tool's process: an end in the middle of a training."""
    plain = training._Run._step

    def counted(self: training._Run, number: int) -> object:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, number)

    training._Run._step = counted  # type: ignore[assignment, method-assign]


def test_a_killed_training_ends_the_same(run: Path, made: Path) -> None:
    words = ["run=run", start_from(made), "retrain.compare=[]", "checkpoint_steps=1"]
    again = shutil.copytree(run, run.parent / "other" / "run")
    killed = run_tool("retrain", words, run.parent, prepare=kill_at, arguments=[1])
    assert killed.code == -signal.SIGKILL
    done = succeed("retrain", words, run.parent)
    assert "continuing from step 1" in done.out
    assert "starts from" not in done.out  # that was said
    succeed("retrain", words, again.parent)
    assert retrained(run) == retrained(again)
    reports = [next(one.rglob("retrain/*/weights.json")).read_text() for one in (run, again)]
    assert reports[0] == reports[1]


def test_what_cannot_be_is_a_line_before_anything_is_trained(run: Path, made: Path) -> None:
    for word, *parts in (
        (start_from(made, "test_resnet"), "is of no mobile family", "timm:mobilenetv3_large_100"),
        (start_from(made, "gone"), "cannot be had from timm with its weights", "start=scratch"),
        ("retrain.start=scratch:resnet18", "none of scratch, inherited, timm:NAME"),
        ("retrain.start=timm", "none of scratch, inherited, timm:NAME"),
    ):
        refused(run_here("retrain", ["run=run", word], run.parent), *parts)
    assert not (run / "retrain").exists()


def test_other_tasks_have_no_such_start(made: Path, tmp_path: Path) -> None:
    words = words_of(TINY | {"retrain.start": "timm:local-dir:mobilenetv3_large_100"}, run="run")
    (tmp_path / "mobilenetv3_large_100").symlink_to(made / "mobilenetv3_large_100")
    refused(run_here("search", words, tmp_path), "cannot be used with task=cifar10")
    assert not (tmp_path / "run").exists()
