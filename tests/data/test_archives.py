"""Zip files and compressed tar files give what the folder gives, and are refused in one line."""

from __future__ import annotations

import gzip
import os
import random
import stat
import zipfile
from pathlib import Path

import pytest

from fewshot_core.data import gzipped, zips
from fewshot_core.data.decode import Listing
from fewshot_core.data.folders import list_images
from fewshot_core.data.unlabelled import list_unlabelled
from fewshot_core.errors import DataError

from .forms import images, png, write_folder, write_tar


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fewshot-nas" / "archives"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "set", images(3))


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def members_of(folder: Path, base: str = "") -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {base + path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def content(listing: Listing) -> list[tuple[str, str, object]]:
    return [
        (listing.classes[label], listing.key(i).rpartition("/")[2], listing.read(i))
        for i, label in enumerate(listing.labels.tolist())
    ]


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list_images(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("base", ["", "set/", "a/set/"])
def test_a_zip_is_the_folder(folder: Path, tmp_path: Path, method: int, base: str) -> None:
    path = zipped(tmp_path / "set.zip", members_of(folder, base), method)
    assert content(list_images(path)) == content(list_images(folder))
    assert len(list_unlabelled(path)) == 9


@pytest.mark.parametrize("name", ["set.tar.gz", "set.tgz"])
def test_a_compressed_tar_is_the_folder(
    folder: Path, tmp_path: Path, cache: Path, name: str
) -> None:
    tar = write_tar(tmp_path / "set.tar", list(members_of(folder, "set/").items()))
    path = tmp_path / name
    path.write_bytes(gzip.compress(tar.read_bytes()))
    listing = list_images(path)
    assert content(listing) == content(list_images(folder))
    assert listing.name(0).startswith(f"{path}/set/cat/")  # and not by the name in the cache
    (made,) = cache.iterdir()
    before = made.stat().st_mtime_ns
    list_images(path)
    assert made.stat().st_mtime_ns == before  # unpacked once
    os.utime(path, ns=(1, 1))
    list_images(path)
    assert len(list(cache.iterdir())) == 2  # it was another file by its time


def test_nothing_leads_out_of_a_zip(tmp_path: Path) -> None:
    members = {"../../cat/1.png": png(1), "/dog/1.png": png(2), "cat/./2.png": png(3)}
    listing = list_images(zipped(tmp_path / "set.zip", members))
    assert [listing.key(i) for i in range(3)] == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(9))
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    link.create_system = 3
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("cat/1.png", png(1))
        archive.writestr("dog/1.png", png(2))
        archive.writestr(link, "../../secret.png")
    listing = list_images(tmp_path / "set.zip")
    assert (len(listing), listing.left_out) == (2, {"special files": 1})


def test_a_zip_of_windows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("cat\\1.png", "dog\\1.png"):
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            archive.writestr(info, png(1))
    assert list_images(tmp_path / "set.zip").classes == ("cat", "dog")


def test_what_grows_beyond_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "SMALL", 1 << 16)
    monkeypatch.setattr(gzipped, "SMALL", 1 << 16)
    members = {"cat/1.png": png(1), "dog/1.bmp": bytes(1 << 20)}
    assert "bytes would become 1,048,576" in refused(zipped(tmp_path / "set.zip", members))
    tar = write_tar(tmp_path / "set.tar", list(members.items()))
    (tmp_path / "set.tgz").write_bytes(gzip.compress(tar.read_bytes()))
    assert "would become more than" in refused(tmp_path / "set.tgz")
    assert not any(tmp_path.rglob("*.part"))


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"cat/1.bmp": bytes(1 << 20), "dog/1.png": png(1)})
    data = bytearray(path.read_bytes())
    size = (1 << 20).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, (1000).to_bytes(4, "little")))
    listing = list_images(path)
    with pytest.raises(OSError, match="damaged"):
        listing.read(0)


def test_no_room(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = write_tar(tmp_path / "set.tar", list(members_of(folder).items()))
    (tmp_path / "set.tgz").write_bytes(gzip.compress(tar.read_bytes()))
    monkeypatch.setattr(gzipped, "SPARED", 1 << 62)
    assert "no room" in refused(tmp_path / "set.tgz")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "set.tar"))
    assert "cannot be unpacked" in refused(tmp_path / "set.tgz")


@pytest.mark.parametrize("name", ["set.zip", "set.tgz", "set.tar.gz"])
@pytest.mark.parametrize("data", [b"", b"x" * 3000])
def test_files_that_are_no_archives(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert f"{name} is not a readable" in refused(tmp_path / name)


def test_encrypted_and_rare(tmp_path: Path, folder: Path) -> None:
    path = zipped(tmp_path / "a.zip", members_of(folder), zipfile.ZIP_LZMA)
    assert "packed by method 14" in refused(path)
    assert "and 8 more" in refused(path)
    path = zipped(tmp_path / "b.zip", members_of(folder))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in refused(path)


def test_a_file_that_is_a_folder_too(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cat/1.png": png(1), "cat": b""})
    assert "is both a file and a folder" in refused(path)
    path = zipped(tmp_path / "b.zip", {"cat": b"", "cat/1.png": png(1)})
    assert "is both a file and a folder" in refused(path)


@pytest.mark.parametrize("name", ["set.zip", "set.tgz"])
def test_damage_anywhere_is_one_line_or_nothing(tmp_path: Path, folder: Path, name: str) -> None:
    """Bits that flip: every image is as it was, or its file is refused."""
    whole = members_of(folder)
    path = zipped(tmp_path / "set.zip", whole)
    if name == "set.tgz":
        tar = write_tar(tmp_path / "set.tar", list(whole.items()))
        path = tmp_path / "set.tgz"
        path.write_bytes(gzip.compress(tar.read_bytes()))
    data, rng, refusals = path.read_bytes(), random.Random(0), 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.2:
            del damaged[rng.randrange(len(damaged)) :]
        path.write_bytes(damaged)
        try:
            listing = list_images(path)
        except DataError as error:
            lines = str(error).splitlines()
            refusals += len(lines) == 1
            continue
        for index in range(len(listing)):
            try:
                assert listing.read(index) in whole.values()
            except OSError:
                refusals += 1
    assert refusals > 20
