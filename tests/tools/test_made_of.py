"""A run knows what it was made of: images, tables and teachers that are others are named."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fewshot_core.data.inventory import read_inventory
from tests.data.forms import CLASSES, images, png, write_folder
from tests.shared import once

from .outcome import retrained
from .process import run_tool, succeed, words_of
from .refusals import contents, refused
from .teachers import save_teacher
from .tiny import TINY

SETTINGS = {k: v for k, v in TINY.items() if not k.startswith(("split", "data."))} | {
    "data": "images",
    "data.root": "images",
    "split": "none",
    "audit.networks": 0,
    "search.trials": 4,
    "evaluator.recalibrate": 16,
    "supernet.batch_size": 16,
    "retrain.batch_size": 16,
    "retrain.epochs": 2,
    "retrain.compare": "[]",
}


def words(**more: object) -> list[str]:
    return words_of(SETTINGS, run="run", **more)


def begin(folder: Path) -> None:
    """In the folder: images, ``run`` after a search on them, and ``whole``, also retrained."""
    write_folder(folder / "images", images(12))
    succeed("search", words(), folder)
    shutil.copytree(folder / "run", folder / "whole")
    succeed("retrain", ["run=whole"], folder)


@pytest.fixture(scope="session")
def began(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and the run of a search on them; ``whole`` is also retrained."""
    return once(tmp_path_factory, "began", begin)


@pytest.fixture
def place(began: Path, tmp_path: Path) -> Path:
    shutil.copytree(began, tmp_path / "place")
    return tmp_path / "place"


def at(place: Path, **more: object) -> list[str]:
    """The words of a search that goes on in a copy, whose images lie elsewhere by now."""
    return words(**{"data.root": place / "images"}, **more)


def one_more_of_each(root: Path) -> None:
    for name in CLASSES:
        (root / name / "new.png").write_bytes(png(7))


def one_less(root: Path) -> None:
    (root / "dog" / "014.png").unlink()


def another_content(root: Path) -> None:
    (root / "dog" / "014.png").write_bytes(png(99))


def another_class(root: Path) -> None:
    shutil.copytree(root / "dog", root / "fox")


def renamed(root: Path) -> None:
    (root / "cat").rename(root / "Cat")


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "more": (one_more_of_each, "found: 3 came: cat/new.png, dog/new.png, eel/new.png |"),
    "less": (one_less, "found: 1 went: dog/014.png |"),
    "changed": (another_content, "found: 1 changed: dog/014.png |"),
    "class": (another_class, "found: 12 came: fox/012.png, fox/013.png, fox/014.png, ... |"),
    "renamed": (renamed, "12 came: Cat/000.png, Cat/001.png, Cat/002.png, ...; 12 went: cat/000"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_images_are_named(case: str, place: Path) -> None:
    change, found = CHANGES[case]
    change(place / "images")
    before = contents(place / "run")
    for tool, given in (
        ("retrain", ["run=run", f"data.root={place / 'images'}"]),
        ("search", at(place)),
    ):
        done = run_tool(tool, given, place)
        refused(done, "the images are not those that this run began with", found, "put them back")
    assert contents(place / "run") == before


def test_a_moved_run_with_moved_images_goes_on(place: Path, began: Path) -> None:
    """Under another name on another disk, and from another working directory."""
    (place / "images").rename(place / "pictures")
    (place / "run").rename(place / "moved")
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    given = ["run=../moved", f"data.root={place / 'pictures'}"]
    succeed("retrain", given, elsewhere)
    assert retrained(place / "moved") == retrained(began / "whole")
    assert f"root: {place / 'pictures'}\n" in (place / "moved" / "recipe.yaml").read_text()
    assert "data.root" in (place / "moved" / "overrides.txt").read_text()
    # What the run has kept of its images is enough for the rest.
    shutil.rmtree(place / "pictures")
    for tool in ("export", "report"):
        succeed(tool, ["run=../moved"], elsewhere)
    config = json.loads((place / "moved" / "export" / "config.json").read_text())
    assert config["label_names"] == list(CLASSES)


def test_the_parts_are_those_that_the_run_began_with(began: Path) -> None:
    found = read_inventory(began / "run" / "images.csv.gz")
    assert found.classes == CLASSES
    parts = [entry.part for entry in found.entries.values()]
    assert {part: parts.count(part) for part in dict.fromkeys(parts)} == {
        "train": 24,
        "validation": 6,
        "test": 6,
    }
    described = json.loads((began / "run" / "data.json").read_text())
    assert described["class_names"] == list(CLASSES)


def test_a_change_of_results_is_no_change_of_place(place: Path) -> None:
    before = contents(place / "run")
    done = run_tool("retrain", ["run=run", "supernet.epochs=3"], place)
    refused(done, "supernet.epochs=3", "fewshot search", "start another run", "run=DIR")
    done = run_tool("retrain", ["run=run", f"data.root={place / 'nowhere'}"], place)
    refused(done, "nowhere does not exist")
    assert contents(place / "run") == before


def test_test_images_among_the_training_images_are_counted(tmp_path: Path) -> None:
    write_folder(tmp_path / "images" / "train", images(8))
    write_folder(tmp_path / "images" / "test", [*images(2), *images(1, first=200)])
    done = succeed("search", words(), tmp_path)
    assert "6 of the test images are the same files as training or validation images" in done.out


# -- what else is read ---------------------------------------------------------------------


def write_table(path: Path, change: float = 0.0) -> None:
    from fewshot_tasks.cifar10.space import nasbench201

    space = nasbench201()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["architecture", "score"])
        for index, architecture in enumerate(space.enumerate()):
            writer.writerow([space.genotype(architecture), index % 97 + change])


def test_another_table_is_named(tmp_path: Path) -> None:
    more = {"evaluator": "table", "evaluator.table": "table.csv", "audit.networks": 0}
    given = words_of(TINY | more, run="run")
    write_table(tmp_path / "table.csv")
    succeed("search", given, tmp_path)
    before = contents(tmp_path / "run")
    write_table(tmp_path / "table.csv", change=1)
    done = run_tool("search", given, tmp_path)
    refused(done, "evaluator.table=", "is not what this run began with", "restore it")
    assert contents(tmp_path / "run") == before
    # The same content under another name is the same table.
    write_table(tmp_path / "again.csv")
    succeed("search", [*given, "evaluator.table=again.csv"], tmp_path)


def test_another_teacher_is_named(tmp_path: Path) -> None:
    save_teacher(tmp_path / "teacher", 0)
    more = {"evaluator": "naswot", "audit.networks": 0, "search.trials": 4}
    given = words_of(TINY | more, run="run", **{"retrain.teacher": f"local-dir:{tmp_path}/teacher"})
    succeed("search", given, tmp_path)
    save_teacher(tmp_path / "teacher", 1)
    before = contents(tmp_path / "run")
    done = run_tool("retrain", ["run=run"], tmp_path)
    refused(done, "retrain.teacher=", "is not what this run began with")
    assert contents(tmp_path / "run") == before


# -- supernets of another run --------------------------------------------------------------


def test_checkpoints_of_the_same_supernets_may_be_copied(finished: Path, tmp_path: Path) -> None:
    """As docs/clusters.md advises for several launches on one study."""
    shutil.copytree(finished / "checkpoints", tmp_path / "run" / "checkpoints")
    done = succeed("search", words_of(TINY, run="run", **{"search.trials": 4}), tmp_path)
    assert "continuing from" not in done.out
    for path in (finished / "checkpoints").rglob("weights.safetensors"):
        mine = tmp_path / "run" / path.relative_to(finished)
        assert (
            mine.stat().st_mtime == path.stat().st_mtime or mine.read_bytes() == path.read_bytes()
        )


def test_checkpoints_of_others_are_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "checkpoints", tmp_path / "run" / "checkpoints")
    before = contents(tmp_path)
    done = run_tool("search", words_of(TINY, run="run", seed=1), tmp_path)
    refused(done, "run/checkpoints holds supernets that were trained otherwise", "seed: 0 -> 1")
    (tmp_path / "run" / "checkpoints" / "origin.json").unlink()
    done = run_tool("search", words_of(TINY, run="run"), tmp_path)
    refused(done, "run/checkpoints/origin.json is missing")
    assert contents(tmp_path) == {k: v for k, v in before.items() if not k.endswith("origin.json")}
