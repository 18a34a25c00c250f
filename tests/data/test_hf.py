"""Hugging Face data sets: the images they give, and every way they refuse."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from fewshot_core.data import BatchStream
from fewshot_core.data.augment import Augment
from fewshot_core.data.decode import decode
from fewshot_core.data.hf import Columns, list_hf
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.data.sources import ImageData, load_images
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings
from tests.data.forms import CLASSES, images, loader, write_folder, write_shards

datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


load, refused = loader("hfds")


def made(rows: Sequence[tuple[int, bytes]], names: bool = True, **columns: Any) -> Any:
    """A data set of these rows, with classes or with plain numbers."""
    label = datasets.ClassLabel(names=CLASSES) if names else datasets.Value("int64")
    dataset = datasets.Dataset.from_dict(
        {
            "image": [{"bytes": data, "path": None} for _, data in rows],
            "label": [r for r, _ in rows],
        },
        features=datasets.Features({"image": datasets.Image(), "label": label}),
    )
    for name, values in columns.items():
        dataset = dataset.add_column(name, values)
    return dataset


def saved(path: Path, dataset: Any) -> Path:
    dataset.save_to_disk(path)
    return path


def parts(data: ImageData) -> list[torch.Tensor]:
    held = (data.train, data.validation, data.test())
    return [tensor for part in held for tensor in (part.images, part.labels)]


def same(first: ImageData, second: ImageData) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parts(first), parts(second), strict=True))


def test_folder_shards_and_data_sets_give_the_same(tmp_path: Path) -> None:
    train, test = images(10), images(2, first=200)
    for name, rows in (("train", train), ("test", test)):
        write_folder(tmp_path / "folder" / name, rows)
        write_shards(f"{tmp_path}/shards/{name}-{{}}.tar", rows)
        made(rows).to_parquet(tmp_path / "parquet" / f"{name}-00000.parquet")
    whole = datasets.DatasetDict({"train": made(train), "test": made(test)})
    saved(tmp_path / "saved", whole)
    expected = load_images(DataSettings(source="images", root=str(tmp_path / "folder")), 0)
    shards = load_images(DataSettings(source="wds", root=str(tmp_path / "shards")), 0)
    assert same(expected, shards)
    for name in ("saved", "parquet", "folder"):
        data = load(tmp_path / name)
        assert data.classes == CLASSES
        assert same(expected, data), name


def test_what_is_read_at_every_use_is_the_same(tmp_path: Path) -> None:
    root = saved(tmp_path / "set", made(images(10)))
    held, read = (load(root, memory=memory) for memory in (True, False))
    index = torch.tensor([7, 0, 11])
    assert torch.equal(held.train.pixels(index), read.train.pixels(index))
    assert torch.equal(held.test().labels, read.test().labels)
    assert held.test_count == 6


def test_rows_can_be_sent_to_processes_that_know_nothing(tmp_path: Path) -> None:
    train = load(saved(tmp_path / "set", made(images(10))), memory=False).train
    sent, index = pickle.loads(pickle.dumps(train)), torch.tensor([7, 0])
    assert torch.equal(sent.pixels(index), train.pixels(index))
    assert sent.listing.name(3) == train.listing.name(3)


@pytest.mark.process
@pytest.mark.parametrize("source", ["wds", "hfds"])
def test_workers_read_the_same(tmp_path: Path, source: str) -> None:
    """Each has the table or the places of the process that it was forked from."""
    write_shards(f"{tmp_path}/wds/{{}}.tar", images(10))
    saved(tmp_path / "hfds", made(images(10)))
    settings = DataSettings(source=source, root=str(tmp_path / source), memory=False, scale=0.5)
    data = load_images(settings, 0)
    stream = BatchStream(
        data.train, batch_size=8, seed=1, mean=data.mean, std=data.std, augment=Augment(scale=0.5)
    )
    ahead = PrefetchedStream(stream, workers=2)
    for step in (0, 1, 2, 7):
        for one, other in zip(stream.batch(step), ahead.batch(step), strict=True):
            assert torch.equal(one, other)


def test_without_labels(tmp_path: Path) -> None:
    root = saved(tmp_path / "set", made(images(4)).select_columns(["image"]))
    data = load(root, labelled=False)
    assert data.classes == ("image",)
    assert len(data.train) + len(data.validation) + len(data.test()) == 12
    assert "has no single column of classes | found: image" in refused(root)


def test_numbers_and_names_as_labels(tmp_path: Path) -> None:
    dataset = made(images(4), names=False, kind=[("z", "b")[i % 2] for i in range(12)])
    root = saved(tmp_path / "set", dataset)
    assert load(root).classes == ("0", "1", "2")
    assert load(root, label_key="kind").classes == ("b", "z")


def test_columns_have_to_be_named_where_there_are_several(tmp_path: Path) -> None:
    dataset = made(images(4))
    files = [{"bytes": data, "path": None} for _, data in images(4)]
    dataset = dataset.add_column("second", files, feature=datasets.Image())
    coarse = datasets.ClassLabel(names=("x", "y"))
    dataset = dataset.add_column("coarse", [i % 2 for i in range(12)], feature=coarse)
    root = saved(tmp_path / "set", dataset)
    assert "no single column of images | found: image, second" in refused(root)
    line = refused(root, image_key="second")
    assert "no single column of classes | found: label, coarse" in line
    assert load(root, image_key="second", label_key="coarse").classes == ("x", "y")
    assert "has no column colour (data.label_key)" in refused(
        root, image_key="image", label_key="colour"
    )
    assert "does not hold images" in refused(root, image_key="label", label_key="label")


def test_parquet_of_others(tmp_path: Path) -> None:
    """Without the types that `datasets` writes into the file, files and names are known still."""
    import pyarrow
    from pyarrow import parquet

    rows = images(4)
    table = pyarrow.table(
        {
            "image": [{"bytes": data, "path": "x.png"} for _, data in rows],
            "label": [CLASSES[label] for label, _ in rows],
            "raw": [data for _, data in rows],
        }
    )
    (tmp_path / "set").mkdir()
    parquet.write_table(table, tmp_path / "set" / "train.parquet")
    data = load(tmp_path / "set")
    assert data.classes == CLASSES
    assert same(data, load(tmp_path / "set", image_key="raw"))


def test_a_test_part_that_hides_its_labels_is_none(tmp_path: Path) -> None:
    hidden = made([(-1, data) for _, data in images(2)])
    own = {"train": made(images(4)), "test": hidden, "validation": made(images(1))}
    data = load(saved(tmp_path / "set", datasets.DatasetDict(own)))
    assert data.test_count == 3
    line = refused(saved(tmp_path / "hidden", hidden))
    assert "row 0 of" in line
    assert "no usable label in the column label | found: -1" in line


def test_test_images_elsewhere(tmp_path: Path) -> None:
    root = saved(tmp_path / "set", made(images(4)))
    data = load(root, test_root=str(saved(tmp_path / "test", made(images(1)))))
    assert data.test_count == 3


def test_a_name_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*words: object) -> Any:
        asked.append(words)
        return datasets.DatasetDict({"train": made(images(4))})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    load("someone/birds:small")
    load("mnist")
    assert asked == [("someone/birds", "small"), ("mnist", None)]
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    assert "data.download=false allows no other" in refused("mnist", download=False)
    assert len(asked) == 2


def test_test_classes_are_known_by_name(tmp_path: Path) -> None:
    """The same classes in another order: labels would be permuted."""
    root = saved(tmp_path / "set", made(images(4)))
    other = made(images(2, first=200)).cast_column(
        "label", datasets.ClassLabel(names=["eel", "cat", "dog"])
    )
    held = load(root, test_root=str(saved(tmp_path / "test", other))).test()
    assert held.classes == CLASSES
    # What was 0, 1, 2 is now called eel, cat, dog.
    assert held.labels.tolist() == [2, 2, 0, 0, 1, 1]
    assert held.images[0, 0, 0, 0] == 200


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    hidden = made([(-1, data) for _, data in images(2)])
    own = {"train": made(images(4)), "test": hidden, "validation": made(images(1))}
    data = load(saved(tmp_path / "set", datasets.DatasetDict(own)))
    assert data.left_out == f"left out of {tmp_path}/set: 6 rows of splits not used (test 6)"
    assert load(saved(tmp_path / "one", made(images(4)))).left_out == ""


def test_a_folder_of_images_and_what_the_package_does_not_take(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", images(4))
    (root / "fox").symlink_to(write_folder(tmp_path / "store", images(4)) / "dog")
    (root / "cat" / "._0.png").touch()
    data = load(root)
    assert data.classes == CLASSES
    assert data.left_out == (
        f"left out of {root}: 1 hidden file, 4 images that the package datasets does not take"
    )


@pytest.mark.parametrize("name", ["run", "runs [1]/first"])
def test_a_run_in_a_folder_of_images(tmp_path: Path, name: str) -> None:
    root = write_folder(tmp_path / "set", images(4))
    (root / "cat" / "000.png").rename(root / "cat" / "[0].png")
    expected = load(root)
    for file in ("recipe.yaml", "environment.json", "a.csv", "b.csv", "pictures/0.png"):
        path = root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images(1)[0][1])
    data = load(root)
    assert same(data, expected)
    assert data.left_out == f"left out of {root}: 1 run folder"


def test_a_run_that_is_named_like_a_part(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "set", images(4))
    for file in ("recipe.yaml", ".lock", "0.png"):
        path = root / "train-1" / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(images(1)[0][1])
    line = refused(root)
    assert "the names of run folders in it look like those of parts" in line
    assert "train-1" in line


def test_rows_without_an_image(tmp_path: Path) -> None:
    """None, a device that has no end, or a file that is gone."""
    import pyarrow
    from pyarrow import parquet

    paths = [None, "/dev/zero", *[f"{tmp_path}/gone"] * 10]
    table = pyarrow.table({"image": [{"bytes": None, "path": path} for path in paths]})
    (tmp_path / "set").mkdir()
    parquet.write_table(table, tmp_path / "set" / "train.parquet")
    columns = Columns(labelled=False)
    listing, _ = list_hf(str(tmp_path / "set"), None, columns, download=False)
    with pytest.raises(DataError) as caught:
        decode(listing, torch.arange(12), 8)
    line = str(caught.value)
    assert "the image in row 0 of" in line
    assert "found: the row has no image" in line
    assert "and 11 more: the image in row 1 of" in line
    with pytest.raises(OSError, match="not a plain file"):
        listing.read(1)


# --- refusals


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    assert "needs data.root=" in refused(None)
    assert "does not exist" in refused(tmp_path / "nothing")
    (tmp_path / "file").touch()
    assert "is not a folder" in refused(tmp_path / "file")


def test_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: object) -> None:
        raise ConnectionError("Couldn't reach 'nobody/nothing'\non the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    line = refused("nobody/nothing")
    assert "ConnectionError: Couldn't reach 'nobody/nothing' on the Hub" in line
    assert "connect this machine to the Hub" in line


def test_a_script_is_not_run(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    root.mkdir()
    (root / "birds.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "scripts are no longer supported" in refused(root)
    assert not (tmp_path / "ran").exists()


def test_several_splits_and_no_train(tmp_path: Path) -> None:
    own = {"a": made(images(4)), "b": made(images(4))}
    root = saved(tmp_path / "set", datasets.DatasetDict(own))
    assert "has several splits | found: a, b | allowed: train, or one" in refused(root)


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    rows = [*images(4), (0, b"no image")]
    root = saved(tmp_path / "set", made(rows))
    with pytest.raises(DataError, match=r"the image in row 12 of .* cannot be read"):
        parts(load(root))


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "needs the package datasets, which is not installed" in refused("mnist")
