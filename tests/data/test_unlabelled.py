"""Images without classes: what generators are trained on."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot_core.data import packaged
from fewshot_core.data.sources import load_images
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings


def write(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (value, 0, 7)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty images, flat and in folders, beside what is no image."""
    root = tmp_path / "images"
    for i in range(20):
        write(root / ("" if i % 2 else f"deep/{i % 3}") / f"{i:02}.png", 10 * i)
    write(root / ".trash" / "x.png", 255)
    (root / "notes.txt").write_text("no image")
    return root


def load(root: Path, **more: object) -> object:
    return load_images(DataSettings(source="images", root=str(root), labelled=False, **more), 0)


def values(*arrays: torch.Tensor) -> list[int]:
    return sorted(int(v) for array in arrays for v in array[:, 0, 0, 0])


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_every_image_counts(folder: Path, kind: str) -> None:
    root = folder
    if kind == "tar":
        root = folder.with_suffix(".tar")
        with tarfile.open(root, "w") as tar:
            tar.add(folder, arcname=".")
    data = load(root)
    assert data.classes == ("image",)
    assert (len(data.train), len(data.validation), data.test_count) == (13, 3, 4)
    parts = (data.train.images, data.validation.images, data.test().images)
    assert values(*parts) == [10 * i for i in range(20)]


def test_own_test_images(folder: Path, tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "held" / f"{i}.png", i)
    data = load(folder, test_root=str(tmp_path / "held"))
    assert values(data.test().images) == [0, 1, 2]
    assert len(data.train) + len(data.validation) == 20


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no.tar").write_text("no tar file")
    for name, text in (("empty", "no images"), ("no.tar", "readable tar"), ("gone", "not exist")):
        with pytest.raises(DataError, match=text):
            load(tmp_path / name)


def test_classes_of_other_sources_can_be_left_out() -> None:
    data = load_images(DataSettings(labelled=False), 0)
    assert data.classes == ("image",)
    assert data.train.labels.unique().tolist() == [0]


def test_stl10_has_its_unlabelled_images_for_generators(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    class Stl10:
        classes = ("bird", "cat")

        def __init__(self, root: str, split: str, download: bool) -> None:
            asked.append(split)
            labels = {
                "train": [0, 1] * 5,
                "test": [0, 1] * 3,
                "train+unlabeled": [0, 1] * 5 + [-1] * 30,
            }
            self.labels = np.array(labels[split])

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            return Image.new("RGB", (96, 96), (index, 0, 0)), int(self.labels[index])

    monkeypatch.setattr(packaged, "STL10", Stl10)
    counts = {}
    for labelled in (True, False):
        settings = DataSettings(
            source="torch/stl10", root=str(tmp_path), image_size=48, labelled=labelled
        )
        data = load_images(settings, 0)
        counts[labelled] = (len(data.train) + len(data.validation), len(data.test()))
        assert data.shape.input_size == (3, 48, 48)
    assert counts == {True: (10, 6), False: (40, 6)}
    assert asked == ["train", "test", "train+unlabeled", "test"]
