"""An export as it is published: its card's own code run, its labels, int8, and the upload."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from huggingface_hub import ModelCard

from fewshot_core.runs.ownership import MARKER
from tests.export.hub import TOKEN, hub_double
from tests.export.snippets import ALONE, OURS, run_snippet, write_pictures
from tests.shared import once

from .process import Done, run_here, succeed


def publish(finished: Path) -> Any:
    """Makes ``export`` of a run with all that an export can have, and ``hub``: what the Hub got."""

    def make(root: Path) -> None:
        shutil.copytree(finished, root / "run")
        with hub_double(root / "hub") as address:
            succeed(
                "export",
                ["run=run", "out=export", "license=mit", "int8=true", "push_to_hub=me/digits"],
                root,
                real=True,
                variables={
                    **os.environ,
                    "HF_ENDPOINT": address,
                    "HF_TOKEN": TOKEN,
                    "HF_HUB_DISABLE_XET": "1",
                },
            )

    return make


@pytest.fixture(scope="module")
def root(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "published", publish(finished))


def test_the_snippets_of_the_card(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "handed_over"
    shutil.copytree(root / "export", folder)
    pictures = write_pictures(tmp_path)
    with_timm = run_snippet(0, folder, OURS, pictures)
    assert with_timm == run_snippet(1, folder, ALONE, pictures)
    assert set(with_timm) <= {f"{digit}\n" for digit in range(10)}


def test_the_onnx_file_says_what_a_label_needs(root: Path) -> None:
    config = json.loads((root / "export" / "config.json").read_text())
    for name in ("model.onnx", "model.int8.onnx"):
        session = onnxruntime.InferenceSession(
            str(root / "export" / name), providers=["CPUExecutionProvider"]
        )
        facts = session.get_modelmeta().custom_metadata_map
        assert json.loads(facts["labels"]) == config["label_names"] == [str(i) for i in range(10)]
        assert json.loads(facts["input_size"]) == config["pretrained_cfg"]["input_size"]
        assert json.loads(facts["mean"]) == config["pretrained_cfg"]["mean"]
        assert json.loads(facts["std"]) == config["pretrained_cfg"]["std"]
        assert facts["colour"] == "L"
        resize = json.loads(facts["resize"])
        assert resize == {"shorter_side": 8, "interpolation": "bicubic", "crop": "centre"}


def test_the_card_is_one_of_the_hub(root: Path) -> None:
    card = ModelCard.load(root / "export" / "README.md")
    data = card.data
    result = json.loads((root / "run" / "retrain.json").read_text())["results"][0]
    assert (data.license, data.library_name, data.model_name) == ("mit", "timm", "digits")
    (one,) = data.eval_results
    assert one.metric_value == pytest.approx(result["test"]["accuracy"], abs=1e-4)
    assert (one.dataset_name, one.dataset_split) == ("digits", "test")
    assert "few-shot-nas" in data.tags
    assert "found by few-shot NAS" in card.text
    assert re.search("`[0-9a-f]{32}`", card.text)  # the digest of the images


def test_int8_is_what_the_card_says(root: Path) -> None:
    from sklearn.datasets import load_digits

    from fewshot_core.data.inventory import read_inventory

    folder = root / "export"
    kinds = {node.op_type for node in onnx.load(folder / "model.int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    card = (folder / "README.md").read_text()
    row = re.search(r"\| test accuracy \(%\) \| ([0-9.]+) \| ([0-9.]+) \|", card)
    assert row
    # Measured once more, by other code: what the list of the run calls test images.
    entries = read_inventory(root / "run" / "images.csv.gz").entries
    where = [int(key) for (_, key), entry in entries.items() if entry.part == "test"]
    digits = load_digits()
    pixels = (digits.images[where] * (255 / 16)).round()[:, None].astype(np.float32) / 255
    for name, said in zip(("model.onnx", "model.int8.onnx"), row.groups(), strict=True):
        session = onnxruntime.InferenceSession(
            str(folder / name), providers=["CPUExecutionProvider"]
        )
        facts = session.get_modelmeta().custom_metadata_map
        mean, std = (json.loads(facts[key])[0] for key in ("mean", "std"))
        images = ((pixels - mean) / std).astype(np.float32)
        (logits,) = session.run(None, {"images": images})
        right = 100 * float((logits.argmax(1) == digits.target[where]).mean())
        assert right == pytest.approx(float(said), abs=0.006)
    assert re.search(r"int8 takes [0-9.]+ times as long as float32", card)
    assert "1 thread on the CPU" in card


def test_timm_reads_its_config(root: Path) -> None:
    config = json.loads((root / "export" / "config.json").read_text())
    model = timm.create_model(f"local-dir:{root / 'export'}", pretrained=True)
    assert model.pretrained_cfg["label_names"] == config["label_names"]
    # What timm itself writes of the same model for the Hub, as far as it is known there.
    from timm.models import save_for_hf

    save_for_hf(model, str(root / "by_timm"), safe_serialization=True)
    theirs = json.loads((root / "by_timm" / "config.json").read_text())
    assert set(config) >= set(theirs)
    for key in ("architecture", "num_classes", "num_features", "global_pool"):
        assert config[key] == theirs[key]
    ours = config["pretrained_cfg"]
    for key in (
        "input_size",
        "mean",
        "std",
        "interpolation",
        "crop_pct",
        "first_conv",
        "classifier",
    ):
        assert ours[key] == theirs["pretrained_cfg"][key], key
    assert ours["license"] == "mit"


def test_what_the_hub_got_is_the_export(root: Path) -> None:
    got = {path.name: path.read_bytes() for path in (root / "hub/files/me/digits").iterdir()}
    kept = {path.name: path.read_bytes() for path in (root / "export").iterdir()}
    assert got == {name: content for name, content in kept.items() if name != MARKER}
    assert "model.int8.onnx" in got


# -- what is refused -----------------------------------------------------------------------


def refused(done: Done, *parts: str) -> None:
    assert (done.code, done.err.count("\n")) == (2, 1), done
    for part in parts:
        assert part in done.err


def test_words_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def export(*words: str) -> Done:
        return run_here("export", ["run=nowhere", *words], tmp_path)

    refused(export("license=apache2"), "unknown license 'apache2'", "did you mean 'apache-2.0'")
    refused(export("private=true"), "private=true has no effect without push_to_hub")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    refused(export("push_to_hub=digits"), "push_to_hub=USER/NAME")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    refused(export("push_to_hub=me/digits"), "there is no token", "set HF_TOKEN")


def test_the_export_is_whole_where_the_hub_refuses(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", "hf_ofAnother")
    with hub_double(tmp_path / "hub") as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        done = run_here("export", ["run=run", "push_to_hub=me/digits"], tmp_path)
    refused(done, "the export is whole in run/export", "the Hub answered 401")
    model = timm.create_model(f"local-dir:{copy / 'export'}", pretrained=True)
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert "license of the weights | not stated" in (copy / "export" / "README.md").read_text()
