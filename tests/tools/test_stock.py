"""``retrain.compare=[stock]``: the stock model nearest in FLOPs to what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from timm.models import save_for_hf

from fewshot_core.recipe import stock_names
from tests.shared import once

from .process import run_here, succeed, words_of
from .refusals import refused
from .tiny import GAN, TINY

SETTINGS: dict[str, object] = {
    **{key: TINY[key] for key in ("recipe", "threads", "network.channels", "data.limit")},
    "data.image_size": 48,
    "evaluator": "counting",
    "strategy": "random",
    "search.trials": 3,
    "audit.networks": 0,
    "ladder.networks": 0,
    "retrain.seeds": 1,
    "retrain.epochs": 0.3,
    "retrain.batch_size": 32,
    "retrain.compare": "[stock-scratch]",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of images that are large enough for stock models."""

    def make(folder: Path) -> None:
        succeed("search", words_of(SETTINGS, run="run"), folder)

    return once(tmp_path_factory, "with-stock", make)


def results(run: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((run / "retrain.json").read_text())["results"]
    return {result["label"]: result for result in found}


def folder(path: Path) -> str:
    torch.manual_seed(0)
    save_for_hf(timm.create_model("test_resnet", num_classes=10), path, safe_serialization=True)
    return f"local-dir:{path}"


def test_the_nearest_is_trained_from_scratch_and_stays(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run_here("retrain", ["run=run"], run.parent)
    assert done.code == 0, done.err
    first = results(run)
    name = stock_names.nearest_stock(first["found"]["flops"], 48)
    assert first.keys() == {"found", f"scratch:{name}"}
    rival = first[f"scratch:{name}"]
    assert (rival["start"], rival["nearest_to"]) == ("scratch", first["found"]["id"])
    assert "nearest_to" not in first["found"]
    # Another version may know other models: what was chosen stays.
    monkeypatch.setattr(stock_names, "FLOPS", {"lcnet_075": 94.8e6})
    assert run_here("retrain", ["run=run"], run.parent).code == 0
    again = results(run)
    assert again == first


def test_the_nearest_begins_with_its_weights(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = folder(run.parent / "published")
    monkeypatch.setattr(stock_names, "FLOPS", {name: 1e6})
    words = ["run=run", "retrain.compare=[stock]", "retrain.head_epochs=0.1"]
    done = run_here("retrain", words, run.parent)
    assert done.code == 0, done.err
    rival = results(run)[f"timm:{name}, retrain.head_epochs=0.1"]
    assert rival["start"] == "pretrained"
    assert "nearest_to" in rival
    said = "fine-tuned from the weights in the folder published"
    assert said in " ".join(done.out.split())
    page = (run / "report.html").read_text()
    assert said in page
    assert "from published weights" not in page


def test_weights_that_cannot_be_had_are_a_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = f"local-dir:{run.parent}/gone"
    monkeypatch.setattr(stock_names, "FLOPS", {gone: 1e6})
    done = run_here("retrain", ["run=run", "retrain.compare=[stock]"], run.parent)
    refused(done, f"timm:{gone} cannot be had from timm with its weights", "fix: scratch:")
    assert not (run / "retrain").exists()
    assert not (run / "retrain.json").exists()


def test_a_hub_that_does_not_answer_is_a_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it, and nothing is said of every try."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(run.parent / "empty"))
    for key in ("retrain.compare=[timm:test_resnet]", "retrain.teacher=test_resnet"):
        done = run_here("retrain", ["run=run", key], run.parent)
        refused(done, "no answer from http://127.0.0.1:1, and no copy in its cache")
        assert "Retrying" not in done.out


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({**SETTINGS, "data.image_size": 32}, ("stock-scratch", "32 pixels", "48 or more")),
        ({**GAN, "retrain.compare": "[stock]"}, ("compare=stock is for classifiers",)),
    ],
)
def test_where_there_is_none_the_search_says_so(
    settings: dict[str, object], parts: tuple[str, ...], tmp_path: Path
) -> None:
    refused(run_here("search", words_of(settings, run="run"), tmp_path), *parts)
    assert not (tmp_path / "run").exists()


def test_the_hint_names_the_word_that_does_it(run: Path) -> None:
    done = run_here("retrain", ["run=run", "retrain.compare=[]"], run.parent)
    name = stock_names.nearest_stock(results(run)["found"]["flops"], 48)
    assert f"as many FLOPs, {name}:" in " ".join(done.out.split())
    assert "retrain.compare=[stock]" in done.out.replace("\n", "")
