"""Two steps of every stage of the full-size recipe, on one image of each ImageNet class."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from .process import succeed, words_of

TWO_STEPS: dict[str, object] = {
    "recipe": "imagenet",
    "threads": 1,
    "data.workers": 0,
    "data.validation": 0.5,
    "supernet.batch_size": 2,
    "supernet.epochs": 0.016,
    "supernet.warmup_epochs": 0,
    "split.when": "always",
    "regions.batch_size": 2,
    "regions.epochs": 0.016,
    "evaluator.images": 4,
    "evaluator.recalibrate": 4,
    "evaluator.batch_size": 4,
    "search.trials": 2,
    "retrain.batch_size": 4,
    "retrain.epochs": 0.004,
    "retrain.warmup_epochs": 0,
    "retrain.compare": "[]",
}
"""1,000 training images, so that 0.016 passes are two steps of four paths on two images."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every sample twice as a training image and once as a test image."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    shared = Path(os.environ.get("FEWSHOT_SHARED_DATA") or beside)
    samples = shared / "imagenet-samples" / "samples.tar"
    if not samples.exists():
        pytest.skip(f"no {samples}; FEWSHOT_SHARED_DATA names another folder")
    root = tmp_path_factory.mktemp("imagenet")
    with tarfile.open(samples) as tar:
        tar.extractall(root / "samples", filter="data")
    files = sorted((root / "samples").rglob("*.JPEG"))
    assert len(files) == 1000
    for file in files:
        for part, count in (("train", 2), ("val", 1)):
            folder = root / part / file.parent.name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.jpeg").hardlink_to(file)
    return root


def few_test_images() -> None:
    """In a tool's process: the retrained network is measured on 8 of the 1,000."""
    from fewshot_core.data.sources import ImageData

    whole = ImageData.test
    ImageData.test = lambda self: whole(self).subset(range(8))  # type: ignore[method-assign]


def test_two_steps_of_every_stage(images: Path, tmp_path: Path) -> None:
    words = words_of(TWO_STEPS | {"data.root": images}, run="run")
    done = succeed("search", words, tmp_path)
    said = done.out.splitlines()
    estimate = next(i for i, line in enumerate(said) if line.startswith("estimate: "))
    assert "CPU hours" in said[estimate] + said[estimate + 1]
    assert estimate < next(i for i, line in enumerate(said) if line.startswith("supernet root"))
    run = tmp_path / "run"
    kept = json.loads((run / "estimate.json").read_text())
    assert kept["supernet_steps"] == 6  # of three supernets
    assert kept["retrain_steps"] == 2
    assert kept["memory"] > 2**28
    data = json.loads((run / "data.json").read_text())
    assert (data["classes"], data["image_size"], data["channels"]) == (1000, 224, 3)
    found = json.loads((run / "found.json").read_text())
    assert 121e6 <= found["costs"]["connected_flops"] <= 300e6
    succeed("retrain", ["run=run"], tmp_path, prepare=few_test_images)
    (result,) = json.loads((run / "retrain.json").read_text())["results"]
    assert result["images_seen"] == 8
    succeed("export", ["run=run"], tmp_path)
    config = json.loads((run / "export" / "config.json").read_text())
    assert config["num_classes"] == 1000
    assert config["pretrained_cfg"]["input_size"] == [3, 224, 224]
