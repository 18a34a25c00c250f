"""Models of timm whose weights are on the Hub: asked once, and taken from its cache otherwise."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import nn

from fewshot_core.training import timm_models
from fewshot_core.training.timm_models import NoWeightsError, create_pretrained


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, beside a Hub that nobody answers for."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet")


def snapshot(cache: Path, repository: str) -> Path:
    """The folder that the Hub's cache would have the files of a repository in."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    (folder / "snapshots" / ("a" * 40)).mkdir(parents=True)
    return folder / "snapshots" / ("a" * 40)


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


def test_without_hub_and_cache_it_is_said_at_once(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for name in ("test_resnet", "hf-hub:me/mine"):
            with pytest.raises(NoWeightsError, match=r"no answer from http://127\.0\.0\.1:1"):
                create_pretrained(name)
    assert time.monotonic() - began < timm_models.PATIENCE  # one try each, and no waits between
    assert not [record for record in caplog.records if "etry" in record.getMessage()]


def test_the_cache_has_them(cache: Path) -> None:
    model = made()
    cfg = timm.get_pretrained_cfg("test_resnet")
    save_file(model.state_dict(), snapshot(cache, cfg.hf_hub_id) / "model.safetensors")
    assert same(create_pretrained("test_resnet"), model)
    other = create_pretrained("test_resnet", num_classes=3, in_chans=1)
    assert other.fc.weight.shape[0] == 3
    assert torch.equal(other.layer1[0].conv1.weight, model.layer1[0].conv1.weight)


def test_the_cache_has_a_model_that_nobody_has_registered(cache: Path, tmp_path: Path) -> None:
    model = made(1)
    folder = snapshot(cache, "me/mine")
    save_for_hf(model, tmp_path / "mine", safe_serialization=True)
    for path in (tmp_path / "mine").iterdir():
        path.rename(folder / path.name)
    assert json.loads((folder / "config.json").read_text())["architecture"] == "test_resnet"
    assert same(create_pretrained("hf-hub:me/mine"), model)


def test_folders_and_names_of_nothing_ask_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> bool:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(timm_models, "hub_answers", refuse)
    model = made()
    save_for_hf(model, tmp_path / "mine", safe_serialization=True)
    assert same(create_pretrained(f"local-dir:{tmp_path / 'mine'}"), model)
    with pytest.raises(Exception, match="no_such_model"):
        create_pretrained("no_such_model")
