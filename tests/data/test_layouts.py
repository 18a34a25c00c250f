"""Folders and tar files as people have them: links, leftovers, runs, parts and odd names."""

from __future__ import annotations

import os
import socket
import tarfile
from pathlib import Path

import pytest

from fewshot_core.data import tree
from fewshot_core.data.folders import list_images
from fewshot_core.data.sources import ImageData
from fewshot_core.data.unlabelled import list_unlabelled
from fewshot_core.errors import DataError
from tests.data.forms import CLASSES, images, loader, png, samples, write_folder, write_tar

load, refused = loader("images")


def count(data: ImageData) -> int:
    return len(data.train) + len(data.validation) + (data.test_count or 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of four images."""
    return write_folder(tmp_path / "set", images(4))


def packed(root: Path, arcname: str = ".", **options: object) -> Path:
    path = root.with_suffix(".tar")
    with tarfile.open(path, "w", **options) as tar:  # type: ignore[call-overload]
        tar.add(root, arcname=arcname)
    return path


# --- what counts


def test_all_formats_count(tmp_path: Path) -> None:
    """Of 120 images 90 were dropped: .webp, .bmp and .tif."""
    from PIL import Image

    for i in range(120):
        path = tmp_path / "set" / CLASSES[i % 3] / f"{i}.{('png', 'webp', 'bmp', 'TIF')[i // 30]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (i, 0, 0)).save(path)
    for data in (load(tmp_path / "set"), load(packed(tmp_path / "set"))):
        assert count(data) == 120
        assert data.left_out == ""


def test_what_is_left_out_is_counted(root: Path) -> None:
    (root / "cat" / "._000.png").write_bytes(b"x")
    (root / "dog" / ".cache").mkdir()
    (root / "dog" / ".cache" / "0.png").write_bytes(b"x")
    (root / "dog" / "@eaDir").mkdir()
    (root / "notes.txt").write_text("no image")
    (root / "eel" / "0.HEIC").write_text("no image")
    (root / "eel" / "LICENSE").write_text("no image")
    said = (
        f"left out of {root}: 3 files of other kinds (.heic 1, .txt 1, no ending 1), "
        "1 hidden file, 2 hidden folders"
    )
    assert load(root).left_out == said
    assert load(root, labelled=False).left_out == said
    assert load(packed(root)).left_out == said.replace(str(root), f"{root}.tar")
    assert load(root, memory=False).left_out == said
    assert load(root).resize(4).left_out == said


@pytest.mark.parametrize("labelled", [True, False])
def test_other_folders_beside_the_parts(tmp_path: Path, labelled: bool) -> None:
    for name, number in (("train", 5), ("test", 2), ("val", 4), ("more", 1)):
        write_folder(tmp_path / name, images(number))
    (tmp_path / "val" / "notes.txt").write_text("no image")
    (tmp_path / "sheet.png").write_bytes(png(0))
    data = load(tmp_path, labelled=labelled)
    assert (count(data), data.test_count) == (21, 6)
    assert data.left_out == (
        f"left out of {tmp_path}: 1 file of other kinds (.txt 1), "
        "16 images of folders not used (val 12, more 3, . 1)"
    )
    data = load(tmp_path, labelled=labelled, test_root=str(tmp_path / "val"))
    assert data.test_count == 12
    assert "(val 12, test 6, more 3, . 1)" in data.left_out


def test_a_class_of_other_files_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for i in range(3):
        (tmp_path / "cat" / f"{i}.heic").write_text("x")
    assert "has no images in it | found: 3 files of other kinds (.heic 3)" in refused(tmp_path)


def test_faults_of_a_kind_are_told_at_once(root: Path) -> None:
    for name in ("x9", "x10", "fox"):
        (root / name).mkdir()
    line = refused(root)
    assert f"the class folder {root}/fox has no image in it" in line
    assert f"and 2 more: data.root: the class folder {root}/x9 has no" in line
    for name in ("a.png", "b.png"):
        (root / name).write_bytes(png(0))
    assert f"{root}/a.png lies beside" in (line := refused(root))
    assert f"and 1 more: data.root: {root}/b.png lies beside" in line


# --- classes


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_classes_that_sort_alike_stay_apart(tmp_path: Path, form: str) -> None:
    names = ("01", "1", "A", "a", "B", "b", "cafe\u0301", "caf\u00e9")
    for label, name in enumerate(names):
        for i in range(5):
            path = tmp_path / "set" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(20 * label + i))
    root = tmp_path / "set"
    listing = list_images(packed(root) if form == "tar" else root)
    assert listing.classes == names
    assert listing.labels.bincount().tolist() == [5] * 8
    for i, label in enumerate(listing.labels.tolist()):
        assert listing.key(i).split("/")[0] == names[label]
        number = int(listing.key(i).split("/")[1].removesuffix(".png"))
        assert listing.read(i) == png(20 * label + number)


def test_a_class_name_that_is_not_utf8_is_refused(root: Path) -> None:
    (root / "caf\udce9").mkdir()
    (root / "caf\udce9" / "0.png").write_bytes(png(0))
    for path in (root, packed(root, encoding="utf-8", errors="surrogateescape")):
        line = refused(path)
        assert r"the class 'caf\xe9' is not UTF-8" in line
        assert "rename the class" in line
        line.encode()


def test_a_file_name_that_is_not_utf8_is_read(root: Path) -> None:
    """And has a key that can be written, and a name that can be shown."""
    (root / "cat" / "\udcff\n[red].png").write_bytes(b"no image")
    for path in (root, packed(root, encoding="utf-8", errors="surrogateescape")):
        listing = list_images(path)
        [i] = [i for i in range(13) if "red" in listing.key(i)]
        assert listing.key(i) == "cat/\\xff\n[red].png"
        assert listing.name(i) == f"{path}/cat/\\xff\\n[red].png"
        assert listing.read(i) == b"no image"


def test_keys_stay_when_a_folder_is_moved(root: Path, tmp_path: Path) -> None:
    before = list_images(root)
    keys = [before.key(i) for i in range(12)]
    assert keys[:2] == ["cat/000.png", "cat/001.png"]
    root.rename(tmp_path / "moved")
    after = list_images(tmp_path / "moved")
    assert [after.key(i) for i in range(12)] == keys


# --- links


def linked(root: Path) -> Path:
    """A class that is a link to a folder elsewhere, and an image that is one."""
    (root / "fox").symlink_to(write_folder(root.parent / "store", images(4)) / "dog")
    (root / "cat" / "link.png").symlink_to("../dog/004.png")
    return root


def test_links_are_followed(root: Path) -> None:
    listing = list_images(linked(root))
    assert listing.classes == ("cat", "dog", "eel", "fox")
    assert listing.labels.bincount().tolist() == [5, 4, 4, 4]
    assert len(list_unlabelled(root)) == 17
    assert listing.left_out == {}


def test_links_out_of_a_tar_file_are_refused(root: Path) -> None:
    line = refused(packed(linked(root)))
    assert f"{root}.tar: fox is a link to what the tar file lacks" in line
    assert "tar --dereference" in line
    assert count(load(packed(root, dereference=True))) == 17


@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_links_within_a_tar_file_are_followed(root: Path, kind: str) -> None:
    link = root / "cat" / "link.png"
    if kind == "hard":
        os.link(root / "dog" / "004.png", link)
    else:
        link.symlink_to("../dog/004.png")
    listing = list_images(packed(root))
    keys = {listing.key(i): i for i in range(len(listing))}
    assert len(keys) == 13
    assert listing.read(keys["cat/link.png"]) == listing.read(keys["dog/004.png"])
    assert listing.classes[listing.labels[keys["cat/link.png"]]] == "cat"


def test_broken_links_and_loops_are_counted(root: Path) -> None:
    (root / "cat" / "gone.png").symlink_to("nowhere.png")
    (root / "cat" / "self.png").symlink_to("self.png")
    (root / "cat" / "up").symlink_to("..")
    (root / "top").symlink_to(".")
    for listing in (list_images(root), list_unlabelled(root)):
        assert len(listing) == 12
        assert listing.left_out == {"broken links": 2, "links back to a folder above": 2}


def test_a_folder_that_is_reached_twice(root: Path) -> None:
    (root / "tabby").symlink_to("cat")
    line = refused(root)
    assert f"{root}/tabby is the same folder as {root}/cat" in line
    assert line == refused(packed(root)).replace("set.tar", "set")
    unlabelled = list_unlabelled(root)
    assert len(unlabelled) == 12
    assert unlabelled.left_out == {"folders reached a second time": 1}


# --- runs


@pytest.mark.parametrize("place", ["run", "runs/first", "runs/of/others", "cat/run"])
@pytest.mark.parametrize("marks", [("recipe.yaml", "environment.json"), (".lock",)])
def test_run_folders_are_left_out(root: Path, place: str, marks: tuple[str, ...]) -> None:
    run = root / place
    run.mkdir(parents=True)
    for name in marks:
        (run / name).write_text("x")
    if len(marks) > 1:
        (run / "pictures").mkdir()
        (run / "pictures" / "0.png").write_bytes(png(0))
    data = load(root)
    assert (data.classes, count(data)) == (CLASSES, 12)
    assert data.left_out == f"left out of {root}: 1 run folder"
    assert load(root, labelled=False).left_out == data.left_out
    assert count(load(packed(root))) == 12


def test_exports_are_left_out(root: Path) -> None:
    for place in ("export", "dog/export"):
        (root / place).mkdir()
        (root / place / ".fewshot-nas.json").write_text("{}")
        (root / place / "picture.png").write_bytes(png(0))
    assert load(root).left_out == f"left out of {root}: 2 exported models"


def test_a_run_beside_the_parts(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_folder(tmp_path / name, images(4))
    (tmp_path / "run").mkdir()
    for name in ("recipe.yaml", "environment.json", "0.png"):
        (tmp_path / "run" / name).write_bytes(png(0))
    assert load(tmp_path).left_out == f"left out of {tmp_path}: 1 run folder"


# --- what would keep a reader waiting


def test_pipes_and_sockets_are_counted(root: Path) -> None:
    os.mkfifo(root / "cat" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root / "cat")  # the path of a socket may not be long
        server.bind("socket.png")
        os.chdir(here)
    (root / "cat" / "device.png").symlink_to("/dev/zero")
    for listing in (list_images(root), list_unlabelled(root)):
        assert (len(listing), listing.left_out) == (12, {"special files": 3})


def test_a_pipe_is_not_waited_for(root: Path) -> None:
    path = root.parent / "pipe.tar"
    os.mkfifo(path)
    assert "is neither a folder nor a .tar, .tar.gz or .zip file" in refused(path)
    listing = list_images(root)
    (root / "cat" / "000.png").unlink()
    os.mkfifo(root / "cat" / "000.png")
    with pytest.raises(OSError, match="not a plain file"):
        listing.read(0)


def test_a_folder_that_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: bytes) -> object:
        if path.endswith(b"/dog"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(tree.os, "scandir", scandir)
    line = refused(root)
    assert f"the folder {root}/dog cannot be read | found: Permission denied" in line


# --- tar files


@pytest.mark.parametrize("arcname", [".", "set", "my/own/set"])
def test_class_folders_may_lie_in_one_folder_of_a_tar_file(root: Path, arcname: str) -> None:
    listing = list_images(packed(root, arcname))
    assert listing.classes == CLASSES
    prefix = "" if arcname == "." else f"{arcname}/"
    assert listing.key(0) == f"{prefix}cat/000.png"


def test_an_empty_class_folder_in_a_tar_file(root: Path) -> None:
    (root / "fox").mkdir()
    assert f"the class folder {root}.tar/set/fox has no image" in refused(packed(root, "set"))


def test_the_last_of_two_members_counts(root: Path) -> None:
    path = packed(root)
    with tarfile.open(path, "a") as tar:
        newer = write_folder(root.parent / "newer", [(0, png(77))]) / "cat" / "000.png"
        tar.add(newer, arcname="cat/000.png")
    listing = list_images(path)
    assert len(listing) == 12
    [i] = [i for i in range(12) if listing.key(i) == "cat/000.png"]
    assert listing.read(i) == png(77)


def test_a_damaged_header_is_no_end(tmp_path: Path) -> None:
    """``tarfile`` would stop there without a word, and where another tar file follows."""
    members = [(f"{CLASSES[i % 3]}/{i}.png", png(i)) for i in range(12)]
    path = write_tar(tmp_path / "set.tar", members)
    whole = path.read_bytes()
    second = whole.index(b"dog/1.png")
    path.write_bytes(whole[:second] + b"\1" * 512 + whole[second + 512 :])
    line = refused(path)
    assert f"{path} goes on after what looks like its end" in line
    assert f"no member begins at byte {second}" in line
    path.write_bytes(whole + whole)
    assert "goes on after what looks like its end" in refused(path)
    _, refused_shards = loader("wds")
    shard = write_tar(tmp_path / "a.tar", samples(images(4)))
    shard.write_bytes(shard.read_bytes() * 2)
    assert "goes on after what looks like its end" in refused_shards(shard)


def test_a_sparse_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("cat/0.png")
        member.type = tarfile.GNUTYPE_SPARSE
        tar.addfile(member)
    assert "cat/0.png is a sparse file" in refused(path)


def test_a_file_and_a_folder_of_one_name(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "set.tar", [("cat", b"x"), ("cat/0.png", png(0))])
    assert "set.tar/cat is both a file and a folder" in refused(path)


def test_names_cannot_lead_out_of_a_tar_file(tmp_path: Path) -> None:
    members = [(f"/../../{CLASSES[i % 3]}/{i}.png", png(i)) for i in range(12)]
    assert list_images(write_tar(tmp_path / "set.tar", members)).key(0) == "cat/0.png"


def test_a_listing_of_nothing_but_links_says_so(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"has no class folders \| found: 1 broken link"):
        list_images(tmp_path / "set")


# --- what a setting names


@pytest.mark.parametrize("source", ["images", "wds", "hfds"])
@pytest.mark.parametrize(
    "root", ["~nobody-of-this-name/x", "/" + "x" * 5000, "/a\0b", "/dev/null/x"]
)
def test_places_that_there_cannot_be(source: str, root: str) -> None:
    if source == "hfds":
        pytest.importorskip("datasets", reason="the extra hf is not installed")
    line = loader(source)[1](root)
    assert "does not exist" in line or "File name too long" in line


def test_a_place_that_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(path: object, **_: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tree.Path, "stat", stat)
    assert f"{tmp_path} cannot be read | found: Permission denied" in refused(tmp_path)
