"""Images without classes, which generators can be trained on: every image is of one class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from fewshot_core.data.decode import Listing
from fewshot_core.data.folders import open_tree, require_images, tree_listing
from fewshot_core.data.tree import walk

ONE_CLASS = ("image",)


def list_unlabelled(root: str | Path, setting: str = "data.root") -> Listing:
    """All images of a folder or archive, whatever folders they lie in, in the order of names.

    The images of a folder that two paths lead to count once.

    Args:
        root: The folder or the ``.tar``, ``.tar.gz`` or ``.zip`` file.
        setting: The setting that named it, for messages.

    Raises:
        DataError: It is missing or damaged, or has no images.
    """
    tree = open_tree(root, setting, "a folder, or a .tar, .tar.gz or .zip file")
    found = walk(tree)
    require_images(tree.where, found, setting)
    found.images.sort()
    return tree_listing(tree, found, *one_class(len(found.images)))


def one_class(count: int) -> tuple[tuple[str, ...], Tensor]:
    """Class names and labels of ``count`` images without classes."""
    return ONE_CLASS, torch.zeros(count, dtype=torch.int64)


def without_classes(listing: Listing) -> Listing:
    """The same images, all of one class."""
    return replace(listing, classes=ONE_CLASS, labels=torch.zeros_like(listing.labels))
