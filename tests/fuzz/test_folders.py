"""Random folders of images: the same images, however they are stored and whoever reads them."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from fewshot_core.data.decode import Listing, decode
from fewshot_core.data.folders import list_images
from fewshot_core.data.shard_files import find_parts
from fewshot_core.data.shards import ShardKeys, list_shards
from fewshot_core.errors import DataError

from .conftest import TIMES, Inputs
from .trees import Picture, Tree, make_tree, pictures

TREES = 2_000 * TIMES
SEEDS = 6  # every locale with either number of a process
READERS = 2  # processes that read each tree, beside this one
DECODED = 5  # one tree in so many; of the others the bytes are compared

pytestmark = pytest.mark.slow

Expected = dict[str, tuple[str, Picture]]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A folder in memory where the system has one: there are some 50,000 files."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    folder = tempfile.mkdtemp(dir=memory if usable else None)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def trees(base: Path) -> list[Tree]:
    pool = pictures(random.Random(0))
    return [make_tree(number, base, pool) for number in range(TREES)]


def sort_naturally(names: set[str]) -> list[str]:
    """What the order of classes has to be: numbers by value, letters without case, then all."""

    def key(name: str) -> tuple[list[int | str], str]:
        pieces = re.findall(r"\d+|\D+", name.lower())
        first = [] if pieces and not pieces[0].isdecimal() else [""]
        return [*first, *(int(p) if p.isdecimal() else p for p in pieces)], name

    return sorted(names, key=key)


def as_key(path: str) -> str:
    return path.replace("\\", "\\\\").replace("\udcff", "\\xff")


def expected(tree: Tree, form: str) -> Expected:
    """By key the class and the picture."""
    if form == "shards":
        return tree.shards
    base = tree.base if form == "images.tar" else ""
    return {as_key(base + p): (p.split("/")[0], picture) for p, picture in tree.files.items()}


def listed(tree: Tree, form: str) -> Listing:
    if form == "shards":
        parts = find_parts(str(tree.where / form))
        assert parts.test is None
        return list_shards(parts.train, form, ShardKeys())
    return list_images(tree.where / form)


def check(tree: Tree, listing: Listing, images: Expected) -> None:
    classes = {name for name, _ in images.values()}
    assert list(listing.classes) == sort_naturally(classes)
    keys = [listing.key(i) for i in range(len(listing))]
    assert sorted(keys) == sorted(images)
    assert [listing.classes[label] for label in listing.labels.tolist()] == [
        images[key][0] for key in keys
    ]
    for i, key in enumerate(keys):
        assert listing.read(i) == images[key][1].data, (tree.number, key)
    if tree.number % DECODED:
        return
    pixels = decode(listing, torch.arange(len(listing)), 8, 3)
    for key, image in zip(keys, pixels, strict=True):
        assert image.numpy().tobytes() == images[key][1].pixels, (tree.number, key)


def test_every_form_gives_the_same(trees: Sequence[Tree], fuzzed: Inputs) -> None:
    read = 0
    for tree in trees:
        fuzzed()
        for form in ("images", "images.tar", "shards"):
            if tree.problem:
                if form != "shards":
                    with pytest.raises(DataError, match=tree.problem) as caught:
                        listed(tree, form)
                    assert "\n" not in str(caught.value)
                    str(caught.value).encode()
                continue
            listing = listed(tree, form)
            check(tree, listing, expected(tree, form))
            read += 1
            if form == "images":
                assert listing.left_out == tree.left_out, tree.number
    assert read > 2.5 * TREES


def test_no_process_sees_another_order(base: Path, trees: Sequence[Tree]) -> None:
    """Each tree by two processes of other hash seeds and locales: process 0 and process 1 of 2."""
    script = Path(__file__).parent / "read_trees.py"
    said: dict[str, list[Any]] = {}
    for seed in range(SEEDS):
        mine = [str(t.number) for t in trees if (t.number - seed) % SEEDS < READERS]
        environment = os.environ | {
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "RANK": str(seed % 2),
            "LOCAL_RANK": str(seed % 2),
            "WORLD_SIZE": "2",
            "LC_ALL": ("C", "C.UTF-8", "POSIX")[seed % 3],
        }
        done = subprocess.run(
            [sys.executable, script, base, *mine],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for line in done.stdout.splitlines():
            number, forms = json.loads(line)
            said.setdefault(number, []).append(forms)
    assert len(said) == len(trees)
    for tree in trees:
        first, *others = said[str(tree.number)]
        assert others == [first], tree.number
        for form, what in first.items():
            if not tree.problem:
                classes, images, _ = what
                wanted = expected(tree, form)
                assert {key: classes[label] for key, label in images} == {
                    key: name for key, (name, _) in wanted.items()
                }
                assert classes == sort_naturally(set(classes))


def test_data_sets_of_hugging_face(
    base: Path, trees: Sequence[Tree], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
    from fewshot_core.data.hf import Columns, list_hf

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", base / "cache")
    datasets.disable_progress_bars()
    for tree in [tree for tree in trees if not tree.problem][:40]:
        rows = [(path.split("/")[0], picture) for path, picture in tree.files.items()]
        label = datasets.ClassLabel(names=sort_naturally({name for name, _ in rows}))
        made = datasets.Dataset.from_dict(
            {
                "image": [{"bytes": picture.data, "path": None} for _, picture in rows],
                "label": [name for name, _ in rows],
            },
            features=datasets.Features({"image": datasets.Image(), "label": label}),
        )
        made.save_to_disk(tree.where / "saved")
        listing, test = list_hf(str(tree.where / "saved"), None, Columns(), download=False)
        assert test is None
        check(tree, listing, {str(i): row for i, row in enumerate(rows)})
