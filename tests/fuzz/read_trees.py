"""Reads trees in a process of its own: ``python read_trees.py FOLDER NUMBER ...``.

Prints one line a tree, with classes, keys and labels of each of its forms. Labels are plain lists
here: PyTorch has no part in their order and takes seconds to import, ten times over.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


def without_torch() -> None:
    """Stand-ins for PyTorch and for the modules that are not needed to list images."""
    torch = MagicMock()
    torch.tensor = lambda values, dtype=None: values
    for name in ("torch", "torch.nn", "torch.nn.functional"):
        sys.modules[name] = torch
    for name in ("augment", "stream", "packaged"):
        module: Any = MagicMock(spec=ModuleType)
        sys.modules[f"fewshot_core.data.{name}"] = module
    for name, known in (("packaged", "KNOWN_TORCH"), ("stream", "Batch")):
        setattr(sys.modules[f"fewshot_core.data.{name}"], known, ())
    for name, function in (
        ("stream", "BatchStream"),
        ("packaged", "list_cluttered_digits"),
        ("packaged", "list_digits"),
        ("packaged", "list_torch"),
    ):
        setattr(sys.modules[f"fewshot_core.data.{name}"], function, None)


def main(base: Path, numbers: list[str]) -> None:
    """Print what the trees hold."""
    from fewshot_core.data.folders import list_images
    from fewshot_core.data.shard_files import find_parts
    from fewshot_core.data.shards import ShardKeys, list_shards
    from fewshot_core.errors import DataError

    def told(listing: Any) -> Any:
        images = [(listing.key(i), label) for i, label in enumerate(listing.labels)]
        return listing.classes, images, dict(listing.left_out)

    for number in numbers:
        said = {}
        for form in ("images", "images.tar", "shards"):
            root = base / number / form
            try:
                if form != "shards":
                    said[form] = told(list_images(root))
                elif root.exists():
                    parts = find_parts(str(root))
                    said[form] = told(list_shards(parts.train, "shards", ShardKeys()))
            except DataError as error:
                said[form] = str(error)
        print(json.dumps([number, said]))


if __name__ == "__main__":
    without_torch()
    main(Path(sys.argv[1]), sys.argv[2:])
