"""Down-sampled ImageNet: a made folder of the published layout."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewshot_core.data import load_images
from fewshot_core.data.pickled import TEST, TRAIN, convert, read_batch
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings
from fewshot_core.runs.console import Console
from tests.tools.process import run_tool, succeed
from tests.tools.refusals import refused

SIDE, CLASSES = 4, 6


def content(seed: int, count: int = 12, **others: Any) -> dict[str, Any]:
    """As published: rows of red, green, blue, and labels from 1 on as a list."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (count, 3 * SIDE * SIDE), dtype=np.uint8)
    return {"data": pixels, "labels": [1 + i % CLASSES for i in range(count)], **others}


def write(folder: Path, name: str, value: Any, protocol: int = 2) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "imagenet16"
    for seed, name in enumerate((*TRAIN, *TEST)):
        extra = {"mean": np.zeros(3 * SIDE * SIDE)} if name in TRAIN else {}
        write(made, name, content(seed, **extra))
    return made


def run(folder: Path, to: Path, classes: int = 3) -> list[str]:
    return convert(folder, to, classes, Console())


def test_images_and_labels_are_those_of_the_arrays(folder: Path, tmp_path: Path) -> None:
    lines = run(folder, tmp_path / "out")
    assert "train.tar: 60 images" in lines[0]
    assert "test.tar: 6 images" in lines[1]
    out = tmp_path / "out"
    settings = DataSettings(
        source="images", root=str(out / "train.tar"), test_root=str(out / "test.tar")
    )
    data = load_images(settings, 0)
    assert data.classes == ("0001", "0002", "0003")
    assert data.shape.input_size == (3, SIDE, SIDE)
    assert (len(data.train) + len(data.validation), len(data.test())) == (60, 6)
    known: dict[bytes, int] = {}
    for seed in range(len(TRAIN)):
        made = content(seed)
        for row, label in zip(made["data"], made["labels"], strict=True):
            known[row.tobytes()] = label
    for part in (data.train, data.validation):
        for image, label in zip(part.images, part.labels, strict=True):  # type: ignore[attr-defined]
            assert known[image.numpy().tobytes()] == label + 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path / "made", "batch", content(0), protocol)
    batch = read_batch(path)
    assert batch.images.shape == (12, SIDE, SIDE, 3)
    row = content(0)["data"][5].reshape(3, SIDE, SIDE)
    assert (batch.images[5] == row.transpose(1, 2, 0)).all()
    assert batch.labels.tolist() == content(0)["labels"]


class Runs:
    """What a pickle could do to a machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("place", ["data", "labels", "other"])
def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, place: str) -> None:
    victim = tmp_path / "victim"
    path = write(tmp_path / "made", "batch", content(0) | {place: Runs(victim)})
    with pytest.raises(DataError, match="which is no array"):
        read_batch(path)
    assert not victim.exists()


def test_arrays_of_objects_run_nothing_either(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    hidden = np.array([Runs(victim)], dtype=object)
    path = write(tmp_path / "made", "batch", content(0) | {"data": hidden})
    with pytest.raises(DataError, match="which is no array"):
        read_batch(path)
    assert not victim.exists()


BAD: dict[str, tuple[Any, str]] = {
    "a list": ([1, 2], "not a file of down-sampled ImageNet"),
    "no labels": ({"data": np.zeros((2, 48), np.uint8)}, "not a file of down-sampled ImageNet"),
    "floats": ({"data": np.zeros((2, 48)), "labels": [1, 1]}, r"float64 \[2, 48\]"),
    "not square": ({"data": np.zeros((2, 50), np.uint8), "labels": [1, 1]}, r"uint8 \[2, 50\]"),
    "too few": ({"data": np.zeros((2, 48), np.uint8), "labels": [1]}, "2 whole numbers"),
    "from 0": ({"data": np.zeros((2, 48), np.uint8), "labels": [0, 1]}, "from 1 on"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_told_in_one_line(tmp_path: Path, case: str) -> None:
    value, words = BAD[case]
    with pytest.raises(DataError, match=words) as caught:
        read_batch(write(tmp_path / "made", "batch", value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [TRAIN[3], TEST[0]])
def test_a_damaged_file_leaves_nothing(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:100])
    with pytest.raises(DataError, match=name):
        run(folder, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_file_is_told_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    (folder / TEST[0]).unlink()
    with pytest.raises(DataError, match="val_data does not exist"):
        run(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_are_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "test.tar").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        run(folder, tmp_path)
    assert (tmp_path / "test.tar").read_text() == "mine"
    assert not (tmp_path / "train.tar").exists()


@pytest.mark.parametrize("classes", [0, 1001])
def test_the_number_of_classes(folder: Path, tmp_path: Path, classes: int) -> None:
    with pytest.raises(DataError, match="1 to 1000"):
        run(folder, tmp_path / "out", classes)


def test_the_tool_writes_images_or_says_in_one_line_why_not(folder: Path, tmp_path: Path) -> None:
    words = [f"images={folder}", "to=out", "classes=2"]
    assert "data.source=images" in succeed("convert", words, tmp_path).out
    refused(run_tool("convert", words, tmp_path), "out/train.tar is there already")
    refused(run_tool("convert", ["to=other"], tmp_path), "images")
