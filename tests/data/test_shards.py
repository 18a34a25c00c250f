"""WebDataset shards: the images they give, and every way they refuse."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot_core.data.shard_files import find_shards
from fewshot_core.data.shards import ShardKeys, list_shards
from fewshot_core.data.sources import load_images
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings
from tests.data.forms import images, loader, png, samples, write_folder, write_shards, write_tar

load, refused = loader("wds")


def test_shards_give_what_the_folder_gives(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", images(10))
    write_shards(f"{tmp_path}/shards/part-{{}}.tar", images(10), 3)
    expected = load_images(DataSettings(source="images", root=str(folder)), 0)
    for root in ("shards", "shards/part-*.tar", "shards/part-{0000..0002}.tar"):
        data = load(tmp_path / root)
        assert data.classes == ("0", "1", "2")
        for part, other in (
            (data.train, expected.train),
            (data.validation, expected.validation),
            (data.test(), expected.test()),
        ):
            assert torch.equal(part.images, other.images)
            assert torch.equal(part.labels, other.labels)


def test_what_is_read_at_every_use_is_the_same(tmp_path: Path) -> None:
    write_shards(f"{tmp_path}/part-{{}}.tar", images(10))
    held, read = (load(tmp_path, memory=memory) for memory in (True, False))
    index = torch.tensor([7, 0, 11])
    assert torch.equal(held.train.pixels(index), read.train.pixels(index))
    assert torch.equal(held.test().labels, read.test().labels)
    assert read.train.picture(3).size == (8, 8)


@pytest.mark.parametrize(
    ("key", "classes"),
    [(None, "012"), ("json", "012"), ("json.name", ("cat", "dog", "eel")), ("JSON", "012")],
)
def test_labels_in_json(tmp_path: Path, key: str | None, classes: object) -> None:
    write_shards(f"{tmp_path}/part-{{}}.tar", images(6), kind="json")
    data = load(tmp_path, label_key=key)
    assert data.classes == tuple(classes)  # type: ignore[arg-type]


def test_numbers_are_ordered_as_numbers_and_renumbered(tmp_path: Path) -> None:
    members = []
    for i in range(12):
        members += [(f"{i}.png", png(i)), (f"{i}.cls", b" %d\n" % (5, 10, 700)[i % 3])]
    data = load(write_tar(tmp_path / "a.tar", members))
    assert data.classes == ("5", "10", "700")
    assert sorted(data.train.labels.unique().tolist()) == [0, 1, 2]


def test_names_are_as_they_are_written(tmp_path: Path) -> None:
    """As those of folders: 01 is not 1, and a space at the end is one."""
    names = [b"01", b"1\n", b"A", b"a", b"a \r\n", b" 7 "]
    members = []
    for i in range(18):
        members += [(f"{i}.png", png(i)), (f"{i}.cls", names[i % 6])]
    data = load(write_tar(tmp_path / "a.tar", members))
    assert data.classes == ("01", "1", "7", "A", "a", "a ")


@pytest.mark.parametrize("ending", ["webp", "bmp", "tif", "TIFF", "gif", "ppm", "jfif"])
def test_images_of_every_format(tmp_path: Path, ending: str) -> None:
    members = samples(images(4))
    members = [(name.replace("png", ending), data) for name, data in members]
    assert len(load(write_tar(tmp_path / "a.tar", members)).train) > 0


def test_links_within_a_shard_are_followed(tmp_path: Path) -> None:
    root = write_tar(tmp_path / "a.tar", samples(images(4)))
    with tarfile.open(root, "a") as tar:
        for name, target, kind in (
            ("x.png", "00000.png", tarfile.SYMTYPE),
            ("x.cls", "00000.cls", tarfile.LNKTYPE),
        ):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, target
            tar.addfile(link)
    listing = list_shards([root], "here", ShardKeys())
    assert (len(listing), listing.key(12)) == (13, "a.tar:x.png")
    assert listing.read(12) == listing.read(0)
    assert listing.labels[12] == listing.labels[0]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("test", 2), ("val", 2)):
        write_shards(f"{tmp_path}/set/{part}-{{}}.tar", images(count))
    write_shards(f"{tmp_path}/set/more/{{}}.tar", images(2), 3)
    write_tar(tmp_path / "set" / "train-9.tar", [*samples(images(1)), ("._a.png", b""), ("N", b"")])
    (tmp_path / "set" / "names.txt").touch()
    (tmp_path / "set" / ".hidden.tar").touch()
    (tmp_path / "set" / "sheet.png").touch()
    data = load(tmp_path / "set")
    assert len(data.train) + len(data.validation) == 18
    assert data.left_out == (
        f"left out of {tmp_path}/set: 2 files of other kinds (.txt 1, no ending 1), "
        f"2 hidden files, 1 image of folders not used ({tmp_path}/set 1), 5 shards not used"
    )
    named = load(tmp_path / "set", test_root=f"{tmp_path}/set/more")
    assert named.test_count == 6
    assert named.left_out.endswith("4 shards not used")
    assert load(f"{tmp_path}/set/train-000*.tar").left_out == ""


def test_names_with_signs_of_patterns(tmp_path: Path) -> None:
    folder = tmp_path / "a [b] {c,d}"
    write_shards(f"{folder}/part-{{}}.tar".replace("{c,d}", "{{c,d}}"), images(4))
    assert load(folder).classes == ("0", "1", "2")
    assert load(folder / "part-0000.tar", labelled=False).classes == ("image",)
    plain = tmp_path / "a [b]"
    folder.rename(plain)
    assert load(f"{plain}/part-*.tar").classes == ("0", "1", "2")
    assert load(f"{plain}/part-{{0000..0001}}.tar").classes == ("0", "1", "2")


def test_shards_that_sort_alike_have_one_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("b", "B", "1", "01")):
        write_tar(tmp_path / f"{name}.tar", samples(images(4, first=number)))
    names = ["01.tar", "1.tar", "B.tar", "b.tar"]
    assert [shard.name for shard in find_shards(str(tmp_path))] == names
    real = os.scandir

    class Backwards:
        """A file system that lists folders the other way round."""

        def __init__(self, path: object = ".") -> None:
            with real(path) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self) -> Backwards:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> Iterator[object]:
            return iter(self.entries)

    monkeypatch.setattr(os, "scandir", Backwards)
    assert [shard.name for shard in find_shards(str(tmp_path))] == names
    assert [shard.name for shard in find_shards(f"{tmp_path}/*.tar")] == names


def test_bad_samples_are_told_at_once(tmp_path: Path) -> None:
    root = write_tar(tmp_path / "a.tar", [*samples(images(4)), ("8.cls", b"1"), ("9.png", b"")])
    line = refused(root)
    assert "a.tar: the sample 8 has no image | found: cls" in line
    assert f"and 1 more: {root}: the sample 9 has no label" in line


def test_labels_that_cannot_be_written(tmp_path: Path) -> None:
    for label, problem in (
        (b"caf\xe9", r"'caf\xe9' is not UTF-8"),
        (b"a\tb", "a control character"),
    ):
        root = write_tar(
            tmp_path / "a.tar", [*samples(images(4)), ("9.png", b""), ("9.cls", label)]
        )
        assert problem in refused(root)
    deep = b'{"label": ' + b"[" * 100_000
    root = write_tar(tmp_path / "a.tar", [*samples(images(4)), ("9.png", b""), ("9.json", deep)])
    assert "the sample 9 has no readable json" in refused(root)


def test_a_test_part_of_its_own(tmp_path: Path) -> None:
    train, test = images(10), images(2, first=200)
    write_shards(f"{tmp_path}/one/set-train-{{}}.tar", train)
    write_shards(f"{tmp_path}/one/set-val-{{}}.tar", test, 1)
    write_shards(f"{tmp_path}/two/train/{{}}.tar", train)
    write_shards(f"{tmp_path}/two/val/{{}}.tar", test, 1)
    named = {"test_root": f"{tmp_path}/one/set-val-*.tar"}
    for root, more in (("one", {}), ("two", {}), ("one/set-train-{0000..0001}.tar", named)):
        data = load(tmp_path / root, **more)
        assert (len(data.train) + len(data.validation), data.test_count) == (30, 6)
        assert torch.equal(data.test().images[0], load_png(test[0][1]))


def load_png(data: bytes) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(io.BytesIO(data)))).permute(2, 0, 1)


def test_without_labels(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [(f"deep/{i}.png", png(i)) for i in range(10)])
    data = load(tmp_path, labelled=False)
    assert data.classes == ("image",)
    assert len(data.train) + len(data.validation) + len(data.test()) == 10


def test_the_image_can_be_named(tmp_path: Path) -> None:
    members = samples(images(4))
    members += [(f"{i:05}.seg.png", png(99)) for i in range(12)]
    members += [(f"{i:05}.input.jpg", png(i)) for i in range(12)]
    root = write_tar(tmp_path / "a.tar", members)
    assert load(root).train.images[0, 0, 0, 0] != 99  # of several words: not meant by itself
    assert (load(root, image_key="seg.png").train.images[:, 0, 0, 0] == 99).all()
    write_tar(root, [*members, *((f"{i:05}.jpg", png(i)) for i in range(12))])
    assert "a.tar: the sample 00000 has several images" in refused(root)
    assert "has no tif (data.image_key)" in refused(root, image_key="tif")


def test_what_is_no_sample_is_left_out(tmp_path: Path) -> None:
    """Notes, metadata and hidden files; pickles and arrays are never opened."""
    bomb = pickle.dumps(pytest.fail)
    members = [
        ("README", b"no ending"),
        ("__info__.json", b"{"),
        ("._00000.png", b"of an archiver"),
        *samples(images(4)),
        ("00000.pyd", bomb),
        ("00001.pickle", bomb),
        ("00002.npy", bomb),
    ]
    data = load(write_tar(tmp_path / "a.tar", members))
    assert len(data.train) + len(data.validation) + len(data.test()) == 12


# --- refusals


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    write_shards(f"{tmp_path}/part-{{}}.tar", images(4))
    assert "needs data.root=" in refused(None)
    assert "the shard" in (line := refused(tmp_path / "part-{0000..0002}.tar"))
    assert "part-0002.tar does not exist" in line
    assert "no shard in or at" in refused(tmp_path / "other-*.tar")
    assert "names no shard" in refused(tmp_path / "part-{0003..0000}.tar")
    assert "0000.tar twice" in refused(tmp_path / "part-{0000,0000}.tar")
    (tmp_path / "empty").mkdir()
    assert "no shard in or at" in refused(tmp_path / "empty")


@pytest.mark.parametrize("root", ["https://x.org/{0..9}.tar", "s3://b/a.tar", "pipe:cat a.tar"])
def test_shards_elsewhere(root: str) -> None:
    assert f"{root} is not on this machine" in refused(root)
    assert "copy the shards here" in refused(root)


def test_a_shard_of_no_part(tmp_path: Path) -> None:
    for name in ("train-{}", "val-{}", "more-{}"):
        write_shards(f"{tmp_path}/{name}.tar", images(4), 1)
    assert "more-0000.tar lies beside shards of training and test images" in refused(tmp_path)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ([("9.png", b"")], "the sample 9 has no label | found: png"),
        ([("9.cls", b"1")], "the sample 9 has no image | found: cls"),
        ([("9.png", b""), ("9.cls", b"")], "the sample 9 has an unusable label in cls | found: ''"),
        ([("9.png", b""), ("9.json", b"{")], "the sample 9 has no readable json"),
        ([("9.png", b""), ("9.json", b"[1]")], "the sample 9 has no field label in its json"),
        ([("9.png", b""), ("9.json", b'{"label": true}')], "label in json | found: True"),
        ([("9.png", b""), ("9.json", b'{"label": 0.5}')], "label in json | found: 0.5"),
        ([("00000.cls", b"1")], "has 00000.cls twice"),
    ],
)
def test_bad_samples(tmp_path: Path, extra: list[tuple[str, bytes]], problem: str) -> None:
    root = write_tar(tmp_path / "a.tar", [*samples(images(4)), *extra])
    line = refused(root)
    assert str(root) in line
    assert problem in line


def test_a_member_that_is_no_image(tmp_path: Path) -> None:
    rows = [(label, b"no" if label == 2 else data) for label, data in images(4)]
    root = write_tar(tmp_path / "a.tar", samples(rows))
    assert f"the image {root}: 000" in (line := refused(root))
    assert ".png cannot be read | found: none of JPEG, PNG" in line


def test_an_unknown_key_of_the_label(tmp_path: Path) -> None:
    root = write_tar(tmp_path / "a.tar", samples(images(4)))
    for key in ("txt", "json.label", "cls.label"):
        assert "the sample 00000 has no label | found: cls, png" in refused(root, label_key=key)


def test_links_and_damage(tmp_path: Path) -> None:
    root = write_tar(tmp_path / "a.tar", samples(images(4)))
    whole = root.read_bytes()
    with tarfile.open(root, "a") as tar:
        link = tarfile.TarInfo("9.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    assert "9.png is a link" in refused(root)
    root.write_bytes(whole[:6000])
    assert "is not a readable tar file" in refused(root)
    root.write_bytes(b"")
    assert str(root) in refused(root)
    write_tar(root, [("notes", b"x")])
    assert "has no samples in it" in refused(root)


def test_a_shard_that_shrinks_later(tmp_path: Path) -> None:
    root = write_tar(tmp_path / "a.tar", samples(images(4)))
    data = load(root, memory=False)
    root.write_bytes(root.read_bytes()[:600])
    with pytest.raises(DataError, match=r"a\.tar: 0.*\.png cannot be read.*ends within it"):
        data.train.pixels(torch.arange(len(data.train)))


def test_one_class_or_other_classes(tmp_path: Path) -> None:
    write_shards(f"{tmp_path}/one/{{}}.tar", images(4)[:4], 1)
    assert "has fewer than two classes | found: 0" in refused(tmp_path / "one")
    write_shards(f"{tmp_path}/two/{{}}.tar", images(4)[:8], 1)
    write_shards(f"{tmp_path}/three/{{}}.tar", images(4))
    line = refused(tmp_path / "three", test_root=str(tmp_path / "two"))
    assert "missing: 2" in line
