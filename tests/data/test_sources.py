"""Sources: what they load, what they leave alone, and every way they refuse."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from fewshot_core.data import decode, packaged
from fewshot_core.data.packaged import list_cluttered_digits, list_digits
from fewshot_core.data.sources import load_images
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings

CLASSES = ("cat", "dog", "eel")


def write_image(path: Path, value: int = 100, size: tuple[int, int] = (8, 8), mode: str = "RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value // 2, 7)).convert(mode).save(path)


def write_classes(root: Path, count: int = 10, classes=CLASSES, **options) -> Path:
    for position, name in enumerate(classes):
        for i in range(count):
            write_image(root / name / f"{i:03}.png", 20 * position + i, **options)
    return root


def write_tar(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname=".")
    return path


def settings(root: Path | str | None, **changes) -> DataSettings:
    return DataSettings(source="images", root=None if root is None else str(root), **changes)


def refused(root: Path | str | None, **changes) -> str:
    """The one line with which loading is refused."""
    with pytest.raises(DataError) as caught:
        load_images(settings(root, **changes), seed=0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- digits ----------------------------------------------------------------------------------


def test_digits_are_divided_per_class():
    data = load_images(DataSettings(), seed=0)
    assert data.describe() == {
        "source": "digits",
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test()),
        "channels": 1,
        "image_size": 8,
        "classes": 10,
    }
    assert len(data.train) + len(data.validation) + len(data.test()) == 1797
    for part, share in ((data.train, 0.64), (data.validation, 0.16), (data.test(), 0.2)):
        assert torch.bincount(part.labels, minlength=10).tolist() == pytest.approx(
            [179.7 * share] * 10, abs=5
        )
    assert data.train.images.max() == 255
    assert data.test() is data.test()


def test_cluttered_digits_hold_the_digits():
    plain, cluttered = list_digits(), list_cluttered_digits()
    assert cluttered.labels.equal(plain.labels)
    for i in range(0, len(plain.labels), 100):
        digit, image = np.asarray(plain.read(i)), np.asarray(cluttered.read(i))
        assert image.shape == (12, 12)
        places = sliding_window_view(image, digit.shape).reshape(-1, *digit.shape)
        inside = [place for place in places if (place >= digit).all()]
        assert inside, f"number {i} is hidden"
    assert np.array_equal(cluttered.read(7), list_cluttered_digits().read(7))


def test_cluttered_digits_are_cluttered():
    plain, cluttered = list_digits(), list_cluttered_digits()
    light = [
        np.asarray(cluttered.read(i)).sum(dtype=int) - np.asarray(plain.read(i)).sum(dtype=int)
        for i in range(200)
    ]
    assert np.mean([one > 0 for one in light]) > 0.8  # a piece may be black, or behind the digit
    data = load_images(DataSettings("cluttered_digits"), seed=0)
    assert data.describe()["image_size"] == 12


def test_statistics_are_of_the_training_part():
    data = load_images(DataSettings(validation=0.5), seed=0)
    scaled = data.train.images.double() / 255
    assert data.mean == pytest.approx([scaled.mean().item()])
    assert data.std == pytest.approx([scaled.std(correction=0).item()])


def test_the_seed_changes_validation_but_never_the_test_part():
    first, again, other = (load_images(DataSettings(), seed) for seed in (0, 0, 1))
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.validation.labels, other.validation.labels) or not torch.equal(
        first.validation.images, other.validation.images
    )
    assert torch.equal(first.test().images, other.test().images)


# --- folders and tar files -------------------------------------------------------------------


def test_a_folder_and_its_tar_give_the_same(tmp_path):
    root = write_classes(tmp_path / "set")
    folder, tar = (load_images(settings(path), 0) for path in (root, write_tar(root)))
    assert folder.classes == tar.classes == CLASSES
    assert folder.image_size == 8
    for part in ("train", "validation"):
        assert torch.equal(getattr(folder, part).images, getattr(tar, part).images)
        assert torch.equal(getattr(folder, part).labels, getattr(tar, part).labels)
    assert torch.equal(folder.test().images, tar.test().images)


def test_pixels_keep_their_values_and_labels(tmp_path):
    data = load_images(settings(write_classes(tmp_path)), 0)
    values = data.train.images[:, 0, 0, 0]
    assert torch.equal(values // 20, data.train.labels.to(torch.uint8))
    assert torch.equal(data.train.images[:, 1, 3, 4], values // 2)
    assert (data.train.images[:, 2] == 7).all()


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_split_folders_are_used(tmp_path, name):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / name, count=3)
    data = load_images(settings(tmp_path), 0)
    assert (len(data.train), len(data.validation), len(data.test())) == (24, 6, 9)


def test_a_test_root_of_its_own(tmp_path):
    train = write_classes(tmp_path / "a")
    test = write_tar(write_classes(tmp_path / "b", count=2))
    data = load_images(settings(train, test_root=str(test)), 0)
    assert data.describe()["test"] == len(data.test()) == 6


def test_test_images_are_not_read_before_they_are_asked_for(tmp_path):
    train = write_classes(tmp_path / "a")
    test = write_classes(tmp_path / "b", count=2)
    (test / "dog" / "001.png").write_bytes(b"damaged")
    data = load_images(settings(train, test_root=str(test)), 0)
    with pytest.raises(DataError, match=r"dog/001\.png cannot be read"):
        data.test()


def test_held_out_test_images_are_not_read_either(tmp_path, monkeypatch):
    root = write_classes(tmp_path)
    opened = []
    real = decode._load
    monkeypatch.setattr(decode, "_load", lambda li, i: opened.append(li.name(i)) or real(li, i))
    data = load_images(settings(root), 0)
    assert len(set(opened)) == len(data.train) + len(data.validation) == 24
    before = set(opened)
    opened.clear()
    assert len(data.test()) == len(opened) == 6
    assert not before & set(opened)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    root = write_classes(tmp_path)
    (root / "cat" / "._000.png").write_bytes(b"metadata")
    write_image(root / "cat" / ".ipynb_checkpoints" / "000.png")
    write_image(root / "__MACOSX" / "000.png")
    (root / "notes.txt").write_text("not an image")
    data = load_images(settings(root), 0)
    assert data.classes == CLASSES
    assert len(data.train) + len(data.validation) + len(data.test()) == 30


# --- channels and sizes ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grayscale_stays_grayscale(tmp_path, mode):
    data = load_images(settings(write_classes(tmp_path, mode=mode)), 0)
    assert data.channels == 1
    assert data.test().images.shape[1] == 1


def test_one_coloured_image_makes_all_of_them_rgb(tmp_path):
    root = write_classes(tmp_path, mode="L")
    for i in range(10):  # one whole class, so that it is among the images that are read
        write_image(root / "eel" / f"{i:03}.png", 200)
    data = load_images(settings(root), 0)
    assert data.channels == data.test().images.shape[1] == 3
    gray = data.train.images[data.train.labels == 0]
    assert torch.equal(gray[:, 0], gray[:, 2])
    assert (data.train.images[data.train.labels == 2][:, 2] == 7).all()


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    root = write_classes(tmp_path, count=0)
    for name in ("cat", "dog"):
        for i in range(4):
            path = root / name / f"{i}.{'jpg' if mode == 'CMYK' else 'png'}"
            write_image(path, mode=mode)
    assert load_images(settings(root), 0).channels == 3


def test_the_first_image_decides_the_size(tmp_path):
    root = write_classes(tmp_path, size=(10, 6))
    assert load_images(settings(root), 0).image_size == 6


def test_images_are_scaled_by_the_shorter_side_and_cropped(tmp_path):
    half = np.zeros((8, 24, 3), dtype=np.uint8)
    half[:, 12:] = 200
    for name in ("cat", "dog"):
        for i in range(4):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(half).save(path)
    image = load_images(settings(tmp_path, image_size=4), 0).train.images[0, 0].int()
    assert image.shape == (4, 4)
    assert image[:, 0].max() < 30
    assert image[:, 3].min() > 170


def test_an_image_of_the_right_size_is_not_resampled(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for name in ("cat", "dog"):
        for i in range(4):
            path = tmp_path / name / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
    data = load_images(settings(tmp_path, image_size=8), 0)
    assert np.array_equal(data.train.images[0].permute(1, 2, 0).numpy(), pixels)


# --- limit, progress, memory -----------------------------------------------------------------


def test_the_limit_is_balanced_and_keeps_the_rest_undecoded(tmp_path):
    calls: list[tuple[int, int]] = []
    data = load_images(
        settings(write_classes(tmp_path), limit=12), 0, lambda *call: calls.append(call)
    )
    assert (len(data.train), len(data.validation), len(data.test())) == (9, 3, 6)
    assert torch.bincount(data.train.labels).tolist() == [3, 3, 3]
    assert calls == [(12, 12)]


def test_progress_is_reported_now_and_then():
    calls: list[tuple[int, int]] = []
    load_images(DataSettings(), 0, lambda *call: calls.append(call))
    total = calls[-1][1]
    assert calls[-1] == (total, total)
    assert [done for done, _ in calls[:-1]] == list(range(100, total, 100))


def test_more_than_half_of_the_memory_is_refused(tmp_path, monkeypatch):
    root = write_classes(tmp_path)
    pixels = 30 * 3 * 8 * 8
    monkeypatch.setattr(decode, "machine_memory", lambda: 2 * pixels)
    load_images(settings(root), 0)
    monkeypatch.setattr(decode, "machine_memory", lambda: 2 * pixels - 1)
    line = refused(root)
    assert "more than half of the memory" in line
    assert "data.image_size=" in line
    assert "data.limit=" in line


def test_memory_is_checked_again_when_gray_becomes_colour(tmp_path, monkeypatch):
    root = write_classes(tmp_path, mode="L")
    for i in range(10):
        write_image(root / "eel" / f"{i:03}.png")
    monkeypatch.setattr(decode, "machine_memory", lambda: 2 * 30 * 8 * 8)
    assert "images of 3x8x8" in refused(root)


# --- refusals --------------------------------------------------------------------------------


def test_refuses_a_missing_root(tmp_path):
    assert f"{tmp_path}/none does not exist" in refused(tmp_path / "none")
    assert "needs data.root=" in refused(None)
    root = write_classes(tmp_path / "set")
    assert "data.test_root: /nowhere does not exist" in refused(root, test_root="/nowhere")


def test_refuses_a_root_without_class_folders(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert f"{tmp_path} has no class folders" in refused(tmp_path)


def test_refuses_another_kind_of_file(tmp_path):
    (tmp_path / "set.rar").write_bytes(b"")
    assert "set.rar is neither a folder nor a .tar, .tar.gz or .zip file" in refused(
        tmp_path / "set.rar"
    )


@pytest.mark.parametrize("content", [b"", b"x" * 2000])
def test_refuses_a_damaged_tar(tmp_path, content):
    path = tmp_path / "set.tar"
    path.write_bytes(content)
    assert "set.tar is not a readable tar file" in refused(path)


def test_refuses_a_tar_without_images(tmp_path):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    assert "set.tar has no images in it" in refused(write_tar(tmp_path / "set"))


def test_refuses_a_tar_with_images_in_no_folder(tmp_path):
    root = write_classes(tmp_path / "set", count=2)
    write_image(root / "stray.png")
    assert "stray.png in" in refused(write_tar(root))


def test_refuses_a_tar_that_mixes_two_parts(tmp_path):
    write_classes(tmp_path / "set" / "train", count=2)
    write_classes(tmp_path / "set" / "test", count=2)
    assert "several folders for the class 'cat'" in refused(write_tar(tmp_path / "set"))


def test_refuses_folders_without_any_image(tmp_path):
    (tmp_path / "cat").mkdir()
    assert f"{tmp_path} has no images in it" in refused(tmp_path)


def test_refuses_an_empty_class_folder(tmp_path):
    root = write_classes(tmp_path)
    (root / "fox").mkdir()
    (root / "fox" / "readme.txt").write_text("soon")
    assert f"the class folder {root}/fox has no image in it" in refused(root)


def test_refuses_an_image_beside_the_class_folders(tmp_path):
    root = write_classes(tmp_path)
    write_image(root / "stray.png")
    assert f"{root}/stray.png lies beside the class folders" in refused(root)


def test_refuses_folders_within_class_folders(tmp_path):
    root = write_classes(tmp_path)
    write_image(root / "cat" / "young" / "0.png")
    assert f"{root}/cat/young is a folder within a class folder" in refused(root)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_refuses_and_names_a_damaged_image(tmp_path, content):
    root = write_classes(tmp_path)
    for i in range(10):  # all of a class: whichever are held out, one is read
        path = root / "dog" / f"{i:03}.png"
        path.write_bytes(path.read_bytes()[:40] if content is None else content)
    line = refused(root)
    assert f"the image {root}/dog/00" in line
    assert "cannot be read" in line


def test_names_a_damaged_image_in_a_tar(tmp_path):
    root = write_classes(tmp_path / "set")
    for path in (root / "dog").iterdir():
        path.write_bytes(b"no image")
    assert f"{tmp_path}/set.tar/dog/00" in refused(write_tar(root)).replace("/./", "/")


def test_refuses_more_than_eight_bits(tmp_path):
    root = write_classes(tmp_path)
    for path in (root / "dog").iterdir():
        Image.fromarray(np.full((8, 8), 4000, dtype=np.uint16)).save(path)
    assert "more than 8 bits per channel" in refused(root)


def test_refuses_a_single_class(tmp_path):
    assert "fewer than two classes | found: cat" in refused(
        write_classes(tmp_path, classes=["cat"])
    )


def test_refuses_other_test_classes(tmp_path):
    train = write_classes(tmp_path / "train")
    write_classes(tmp_path / "test", classes=("cat", "dog", "fox"))
    line = refused(tmp_path)
    assert f"the test classes of {tmp_path}/test differ" in line
    assert "missing: eel; only there: fox" in line
    assert train.exists()


def test_refuses_a_class_of_one_image(tmp_path):
    root = write_classes(tmp_path)
    write_image(root / "fox" / "0.png")
    assert "class 'fox' has too few images" in refused(root)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("own", [None, "folder", "setting"])
@pytest.mark.parametrize("limited", [False, True])
def test_how_many_images_a_class_needs(tmp_path, share, own, limited):
    """One to train on, one to score with, and one to test with unless the test part is its own."""
    needed = 3 if own is None else 2
    root = write_classes(tmp_path / "train", count=12)
    more = {"validation": share, "test": share, "limit": 6 if limited else None}
    if own is not None:
        write_classes(tmp_path / "test", count=2)
    if own == "folder":
        root = tmp_path
    elif own == "setting":
        more["test_root"] = str(tmp_path / "test")
    for position, name in enumerate(CLASSES):
        for i in range(needed, 12):
            (tmp_path / "train" / name / f"{i:03}.png").unlink()
        data = load_images(settings(root, **more), 0)
        for part in (data.train, data.validation, data.test()):
            assert part.labels.bincount().min() >= 1
        if position == 1:
            (tmp_path / "train" / name / "000.png").unlink()
            line = refused(root, **more)
            assert "class 'dog' has too few images to hold some out" in line
            assert f"found: {needed - 1} | allowed: {needed} or more" in line
            write_image(tmp_path / "train" / name / "000.png")


@pytest.mark.parametrize("share", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("setting", ["validation", "test"])
def test_refuses_a_share_out_of_range(tmp_path, setting, share):
    line = refused(write_classes(tmp_path), **{setting: share})
    assert f"data.{setting} is out of range | found: {share}" in line


def test_the_test_share_does_not_matter_where_there_is_a_test_part(tmp_path):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "test", count=2)
    assert len(load_images(settings(tmp_path, test=0.0), 0).test()) == 6


def test_refuses_a_limit_or_a_size_out_of_range(tmp_path):
    root = write_classes(tmp_path)
    assert "data.limit is too small" in refused(root, limit=5)
    assert "data.image_size is out of range" in refused(root, image_size=0)


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [("digit", "did you mean 'digits'"), ("torch/cifar", "did you mean 'torch/cifar10'")],
)
def test_an_unknown_source_gets_a_list_and_a_suggestion(tmp_path, source, suggestion):
    with pytest.raises(DataError, match=r"data\.source is unknown") as caught:
        load_images(DataSettings(source=source, root=str(tmp_path)), 0)
    assert suggestion in str(caught.value)
    assert "torch/cifar100" in str(caught.value)


# --- torchvision -----------------------------------------------------------------------------


class FakeSet:
    """What torchvision's data sets have in common."""

    def __init__(self, count: int, classes: tuple = CLASSES) -> None:
        self.targets = [i % len(classes) for i in range(count)]
        self.classes = list(classes)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (6, 6), (i, i, 9)), self.targets[i]


def test_torch_sets_load_their_test_part_on_demand(tmp_path, monkeypatch):
    asked = []

    def create(name, *, root, split, download):
        asked.append((name, root, split, download))
        return FakeSet(30 if split == "train" else 9)

    monkeypatch.setattr(packaged, "create_dataset", create)
    root = str(tmp_path / "kept")
    data = load_images(DataSettings(source="torch/cifar10", root=root), 0)
    assert asked == [("torch/cifar10", root, "train", True)]
    assert (len(data.train), len(data.validation), data.channels, data.image_size) == (24, 6, 3, 6)
    assert data.describe()["test"] is None
    assert len(data.test()) == 9
    assert asked[1][2] == "validation"


def test_torch_test_classes_are_compared(monkeypatch, tmp_path):
    def create(name, *, split, **rest):
        return FakeSet(30, CLASSES if split == "train" else ("cat", "dog", "fox"))

    monkeypatch.setattr(packaged, "create_dataset", create)
    data = load_images(DataSettings(source="torch/cifar10", root=str(tmp_path)), 0)
    with pytest.raises(DataError, match="the test classes of torch/cifar10"):
        data.test()


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
def test_an_absent_torch_set_says_how_to_get_it(tmp_path, name):
    chosen = DataSettings(source=f"torch/{name}", root=str(tmp_path), download=False)
    with pytest.raises(DataError, match=f"torch/{name} is not in {tmp_path}") as caught:
        load_images(chosen, 0)
    assert "set data.download=true" in str(caught.value)


def test_a_machine_without_network_is_told_so(tmp_path, monkeypatch):
    def create(*args, **options):
        raise URLError("no route")

    monkeypatch.setattr(packaged, "create_dataset", create)
    with pytest.raises(DataError, match="connect this machine to the network"):
        load_images(DataSettings(source="torch/cifar10", root=str(tmp_path)), 0)


def test_downloads_have_a_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert packaged.default_folder() == tmp_path / "fewshot-nas" / "data"


# --- the real thing --------------------------------------------------------------------------


@pytest.fixture
def cifar10(request) -> Path:
    """The folder with CIFAR-10 as ``train.tar`` and ``test.tar``."""
    named = os.environ.get("FEWSHOT_CIFAR10")
    path = Path(named) if named else request.getfixturevalue("shared_data") / "cifar10"
    if not (path / "train.tar").exists():
        pytest.skip(f"no CIFAR-10 in {path}; FEWSHOT_CIFAR10 names another folder")
    return path


def test_cifar10(cifar10):
    chosen = settings(cifar10 / "train.tar", test_root=str(cifar10 / "test.tar"), limit=1000)
    data = load_images(chosen, 0)
    assert data.describe() == {
        "source": "images",
        "train": 800,
        "validation": 200,
        "test": 10000,
        "channels": 3,
        "image_size": 32,
        "classes": 10,
    }
    assert data.classes[0] == "airplane"
    assert torch.bincount(data.train.labels).tolist() == [80] * 10
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.02)
    assert data.std == pytest.approx((0.247, 0.243, 0.262), abs=0.02)
