"""What a run was made of is kept, found again, and compared."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from fewshot_core.data import inventory as module
from fewshot_core.data.inventory import (
    ROOT,
    Inventory,
    read_inventory,
    take_inventory,
    write_inventory,
)
from fewshot_core.errors import DataError, RunFolderError

from .listings import listing

FILES = {f"{name}/{i}.png": f"{name} {i}".encode() for name in ("cat", "dog") for i in range(4)}
PARTS = {
    "train": torch.tensor([0, 1, 4, 5]),
    "validation": torch.tensor([2, 6]),
    "test": torch.tensor([3]),
}


def inventory(files: dict[str, bytes] = FILES, **more: bool) -> Inventory:
    return take_inventory(listing(files), PARTS, None, **more)


def test_every_image_has_its_class_its_part_and_its_content() -> None:
    found = inventory()
    assert found.classes == ("cat", "dog")
    assert [entry.part for entry in found.entries.values()] == [
        *("train", "train", "validation", "test"),
        *("train", "train", "validation", "unused"),
    ]
    assert [entry.label for entry in found.entries.values()] == ["cat"] * 4 + ["dog"] * 4
    digests = [entry.digest for entry in found.entries.values()]
    assert digests[7] == ""  # nobody looks at an image that is not used
    assert len(set(digests[:7])) == 7
    assert all(len(digest) == 32 for digest in digests[:7])


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    odd = {'cat/new\nline, "quoted".png': b"1", "cat/b.png": b"2", "ü [red]/a.png": b"3"}
    parts = {"train": torch.tensor([0, 2]), "test": torch.tensor([1])}
    own = listing({"cat/t.png": b"4", "ü [red]/t.png": b"5"})
    found = take_inventory(listing(odd), parts, own)
    for name in ("one", "two"):
        write_inventory(tmp_path / name, found)
    assert read_inventory(tmp_path / "one") == found
    assert read_inventory(tmp_path / "one").digest == found.digest
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"classes,a,b\nno,header\n"), b"\x1f\x8b"],
    ids=["empty", "no gzip", "empty text", "no header", "cut"],
)
def test_a_damaged_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"file is damaged.*to fix: restore it"):
        read_inventory(tmp_path / "file")


def test_a_cut_file_is_one_line(tmp_path: Path) -> None:
    write_inventory(tmp_path / "file", inventory())
    content = (tmp_path / "file").read_bytes()
    for end in range(0, len(content), 7):
        (tmp_path / "file").write_bytes(content[:end])
        with pytest.raises(RunFolderError, match="is damaged"):
            read_inventory(tmp_path / "file")


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (FILES | {"cat/4.png": b"new"}, "1 came: cat/4.png"),
        ({k: v for k, v in FILES.items() if k != "dog/1.png"}, "1 went: dog/1.png"),
        (FILES | {"dog/1.png": b"other"}, "1 changed: dog/1.png"),
        (FILES | {f"eel/{i}.png": b"" for i in range(5)}, "5 came: eel/0.png, eel/1.png, eel/2"),
        ({k: v for k, v in FILES.items() if k != "cat/1.png"} | {"dog/9.png": b"cat 1"},
         "1 came: dog/9.png; 1 went: cat/1.png"),
    ],
)  # fmt: skip
def test_what_differs_is_named(files: dict[str, bytes], found: str) -> None:
    before = inventory()
    with pytest.raises(DataError) as caught:
        before.require(take_inventory(listing(files), {"train": torch.arange(len(files))}, None))
    assert f"found: {found}" in str(caught.value)
    assert "to fix: put them back" in str(caught.value)
    before.require(inventory())


def test_another_order_of_the_classes_is_refused() -> None:
    found = inventory()
    with pytest.raises(DataError, match="classes dog, cat, not cat, dog"):
        found.require(replace(found, classes=("dog", "cat")))


def test_parts_are_found_by_name() -> None:
    found = inventory()
    files = {"cat/0a.png": b"", **FILES}  # every index moves by one
    again = listing(files)
    entries = dict(found.entries) | {(ROOT, "cat/0a.png"): found.entries[ROOT, "dog/3.png"]}
    kept = Inventory(found.classes, entries)
    for part, indices in PARTS.items():
        assert kept.indices(again, part).tolist() == (indices + 1).tolist()


def test_of_many_files_on_disk_a_sample_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_AT_USE", 6)
    monkeypatch.setattr(module, "SAMPLE", 3)
    looked_at = [
        place for place, entry in inventory(in_memory=False).entries.items() if entry.digest
    ]
    assert [key for _, key in looked_at] == ["cat/0.png", "cat/2.png", "dog/0.png"]
    assert sum(bool(e.digest) for e in inventory().entries.values()) == 7


def test_names_alone_are_compared_where_contents_were_not_looked_at() -> None:
    names = inventory(contents=False)
    names.require(inventory(FILES | {"dog/1.png": b"other"}))
    assert {entry.digest for entry in names.entries.values()} == {""}


def test_test_images_that_are_trained_on_are_counted() -> None:
    same = FILES | {"cat/3.png": FILES["dog/1.png"]}
    assert inventory().repeated() == 0
    assert inventory(same).repeated() == 1


def test_pictures_that_are_no_files_count_by_their_pixels() -> None:
    one, other = (Image.new("L", (2, 2), value) for value in (1, 2))
    first, again = (
        take_inventory(listing({"a/0": one, "b/0": x}), {"train": torch.arange(2)}, None)
        for x in (other, one)
    )
    with pytest.raises(DataError, match="1 changed: b/0"):
        first.require(again)
