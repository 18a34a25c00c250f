"""Random folders of images, written as a folder, a tar file and shards, and what is in them.

No part of the program is used here: what a source has to give is known from how it was made.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = (
    "A", "a", "B", "b", "Ab", "aB", "01", "1", "001", "x2", "x02", "x10", "X10", "²", "2", "٣", "3",
    "caf\u00e9", "cafe\u0301", "CAF\u00c9", "\u00df", "ss", "SS", "\u0130", "i\u0307", "日本",
    "👩\u200d🔬", "[red]", "[bold]x[", "a b", " a", "a ", "cat.png", "x.y", "-v", "--help", "%s",
    "{0}", "{a,b}", "$HOME", "~", "'", '"', "*", "?", "&amp;", "<b>", "CON", "train", "test",
    "null", "a\\b", "é" * 60,
)  # fmt: skip
"""Of classes; several are equal to the key that they are sorted by."""

STEMS = (
    "1", "01", "10", "2", "IMG 1", "img 1", "\u00e9", "e\u0301", "a.b", "[1]", "[red]", "\udcff",
    "\n", "²",
)  # fmt: skip
"""Of files, some of which are not UTF-8."""

ENDINGS = {
    "png": "PNG", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "tiff": "TIFF", "gif": "GIF",
    "jpg": "JPEG", "jpeg": "JPEG", "ppm": "PPM", "pgm": "PPM", "apng": "PNG", "jfif": "JPEG",
}  # fmt: skip

JUNK = ("notes.txt", "labels.csv", "README", "x.heic", "1.png.part")
HIDDEN = (".DS_Store", "._1.png", ".hidden.png")
LINKED, EMPTY = "linked class", "nothing"

Member = tuple[str, bytes]


@dataclass(frozen=True)
class Picture:
    """A stored image: its file and its pixels, uint8 ``[3, 8, 8]``, as they are to be read."""

    ending: str
    data: bytes
    pixels: bytes


@dataclass
class Tree:
    """What was written.

    Attributes:
        number: Of the tree.
        where: The folder that holds all its forms: ``images``, ``images.tar`` and ``shards``.
        files: By path below the root, with the class first, each image.
        shards: The same by the keys in shards, where there are shards.
        left_out: What a folder has to leave out, by reason.
        problem: Why the folder and the tar file have to be refused; empty: they are read.
        base: What comes before the paths in the tar file.
    """

    number: int
    where: Path
    files: dict[str, Picture] = field(default_factory=dict)
    shards: dict[str, tuple[str, Picture]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    problem: str = ""
    base: str = ""


def pictures(rng: random.Random) -> list[Picture]:
    """Some images of every format, between 1x1 and 9x7 pixels, gray, in colour and in between."""
    made = []
    for ending, form in ENDINGS.items():
        for mode in ("RGB", "L", "P") if form in ("PNG", "TIFF", "GIF", "BMP") else ("RGB", "L"):
            if (ending, mode) == ("pgm", "RGB"):
                continue
            width, height = rng.randint(1, 9), rng.randint(1, 7)
            values = rng.randbytes(width * height * 3)
            image = Image.frombytes("RGB", (width, height), values).convert(mode)
            buffer = io.BytesIO()
            image.save(buffer, form, **({"lossless": True} if form == "WEBP" else {}))
            made.append(Picture(ending, buffer.getvalue(), _pixels(buffer)))
    return made


def _pixels(file: io.BytesIO) -> bytes:
    with Image.open(file) as image:
        image = image if image.mode == "L" else image.convert("RGB")
        # As torchvision's Resize and CenterCrop, which timm's transforms consist of.
        width, height = (8 * side // min(image.size) for side in image.size)
        left, top = round((width - 8) / 2), round((height - 8) / 2)
        fitted = image.resize((width, height), Image.Resampling.BICUBIC)
        fitted = fitted.crop((left, top, left + 8, top + 8)).convert("RGB")
    return np.asarray(fitted).transpose(2, 0, 1).tobytes()


def make_tree(number: int, base: Path, pool: Sequence[Picture]) -> Tree:
    """Write tree ``number`` in all its forms below ``base``."""
    rng = random.Random(number)
    tree = Tree(number, base / str(number))
    root = tree.where / "images"
    root.mkdir(parents=True)
    links: dict[str, str] = {}  # symbolic links by path, to paths from the root
    for name in rng.sample(NAMES, rng.choice([2, 2, 3, 4])):
        (root / name).mkdir()
        for _ in range(rng.choice([1, 1, 2, 3])):
            picture = rng.choice(pool)
            path = f"{name}/{_file_name(rng, picture.ending)}"
            if path not in tree.files:
                tree.files[path] = picture
    stored = dict(tree.files)
    first = next(iter(stored))
    if rng.random() < 0.2:  # a link to an image, in another class or the same
        path = f"{rng.choice(list(tree.files)).split('/')[0]}/linked.png"
        links[path] = first
        tree.files[path] = stored[first]
    if rng.random() < 0.15:  # a class that is a link to a folder elsewhere
        picture = rng.choice(pool)
        stored[f".store/images/0.{picture.ending}"] = picture
        links[LINKED] = ".store/images"
        tree.files[f"{LINKED}/0.{picture.ending}"] = picture
        tree.left_out["hidden folders"] += 1
    for path, picture in stored.items():
        _write(root / path, picture.data)
    for path, target in links.items():
        up = "../" * path.count("/")
        (root / path).symlink_to(up + target)
    members = [(path, picture.data) for path, picture in stored.items()]
    members += _others(rng, root, tree)
    members += _mistake(rng, root, tree)
    _write_tar(rng, tree, members, links)
    if not tree.problem:
        _write_shards(rng, tree)
    return tree


def _file_name(rng: random.Random, ending: str) -> str:
    return f"{rng.choice(STEMS)}.{rng.choice([ending, ending, ending.upper(), ending.title()])}"


def _others(rng: random.Random, root: Path, tree: Tree) -> list[Member]:
    """Add files that are left out; those of them that a tar file can hold."""
    classes = sorted({path.split("/")[0] for path in tree.files} - {LINKED})
    packed: dict[str, bytes] = {}
    for _ in range(rng.choice([0, 0, 1, 2])):
        name = rng.choice(JUNK + HIDDEN)
        path = "/".join([*rng.sample(classes, rng.randint(0, 1)), name])
        if path not in packed:
            packed[path] = b"no image"
            ending = os.path.splitext(name)[1] or "no ending"
            other = f"files of other kinds: {ending}"
            tree.left_out["hidden files" if name.startswith(".") else other] += 1
    if rng.random() < 0.15:
        run = rng.choice(["runs/one", "run", f"{classes[0]}/run"])
        for name in ("recipe.yaml", rng.choice([".lock", "environment.json"]), "pictures/0.png"):
            packed[f"{run}/{name}"] = next(iter(tree.files.values())).data
        tree.left_out["run folders"] += 1
    if rng.random() < 0.05:
        packed["export/.fewshot-nas.json"] = b"{}"
        tree.left_out["exported models"] += 1
    for path, data in packed.items():
        _write(root / path, data)
    if rng.random() < 0.1:
        (root / classes[0] / "gone.png").symlink_to("nowhere.png")
        tree.left_out["broken links"] += 1
    if rng.random() < 0.1:
        (root / classes[0] / "again").symlink_to("..", target_is_directory=True)
        tree.left_out["links back to a folder above"] += 1
    if rng.random() < 0.05:
        os.mkfifo(root / classes[0] / "pipe.png")
        tree.left_out["special files"] += 1
    return list(packed.items())


def _mistake(rng: random.Random, root: Path, tree: Tree) -> list[Member]:
    """For which the folder has to be refused; rarely."""
    first, picture = next(iter(tree.files.items()))
    path, problem = rng.choice(
        [
            (f"{EMPTY}/", "the class folder"),
            ("stray.jpg", "class folder"),
            (f"{first.split('/')[0]}/deep/0.png", "within a class folder"),
            ("caf\udce9/0.png", "is not UTF-8"),
            ("a\nb/0.png", "control character"),
        ]
        + [("", "")] * 45
    )
    tree.problem = problem
    if not path:
        return []
    if path == f"{EMPTY}/":
        (root / EMPTY).mkdir()
    else:
        _write(root / path, picture.data)
    return [(path, picture.data)]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _write_tar(
    rng: random.Random, tree: Tree, members: list[Member], links: dict[str, str]
) -> None:
    """Members in any order, named and linked as several programs do it."""
    tree.base = rng.choice(["", "", "set/", "deep/set/"])
    prefix = rng.choice(["", "./"]) + tree.base
    rng.shuffle(members)
    path = tree.where / "images.tar"
    with tarfile.open(path, "w", encoding="utf-8", errors="surrogateescape") as tar:
        for name, data in members:
            info = tarfile.TarInfo(prefix + name.rstrip("/"))
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, target in links.items():
            info = tarfile.TarInfo(prefix + name)
            info.type, info.linkname = tarfile.SYMTYPE, "../" * name.count("/") + target
            if name != LINKED and rng.random() < 0.5:  # as tar packs a hard link
                info.type, info.linkname = tarfile.LNKTYPE, prefix + target
            tar.addfile(info)


def _write_shards(rng: random.Random, tree: Tree) -> None:
    """Samples in any order, under other names."""
    files = list(tree.files.items())
    rng.shuffle(files)
    count = min(rng.randint(1, 2), len(files))
    (tree.where / "shards").mkdir()
    for number in range(count):
        with tarfile.open(tree.where / "shards" / f"{number}.tar", "w") as tar:
            for i, (path, picture) in enumerate(files[number::count]):
                name = path.split("/")[0]
                for ending, data in ((picture.ending, picture.data), ("cls", name.encode())):
                    info = tarfile.TarInfo(f"{i:03}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                tree.shards[f"{number}.tar:{i:03}.{picture.ending}"] = name, picture
