"""Class folders that are made of parts of CIFAR-10."""

from __future__ import annotations

import random
import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path

PRETRAINED = ("airplane", "automobile", "bird", "cat", "deer", "dog")
"""Classes of the images that supernets are pretrained on."""

OTHERS = ("frog", "horse", "ship", "truck")
"""Classes of the user's images."""


def make_folder(
    archive: Path, classes: Collection[str], target: Path, each: int | None, seed: int = 0
) -> Path:
    """Unpack some classes into a folder, as ``target/CLASS/*.jpg``; once.

    Args:
        archive: A tar file of class folders.
        classes: Which of them.
        target: The folder, which is whole if it is there.
        each: Images of a class, drawn; None: all.
        seed: Of the draw.
    """
    if target.exists():
        return target
    beside = target.with_name(f"{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    with tarfile.open(archive) as tar:
        names: dict[str, list[str]] = {name: [] for name in classes}
        for member in tar.getmembers():
            kind = member.name.rsplit("/", 2)[-2] if "/" in member.name else ""
            if member.isfile() and kind in names:
                names[kind].append(member.name)
        rng = random.Random(seed)
        for kind, paths in names.items():
            chosen = sorted(paths) if each is None else rng.sample(sorted(paths), each)
            (beside / kind).mkdir(parents=True)
            for path in chosen:
                source = tar.extractfile(path)
                assert source is not None
                with source, (beside / kind / Path(path).name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    beside.rename(target)
    return target
