"""Listings without files."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from PIL import Image

from fewshot_core.data.decode import Listing


def listing(files: Mapping[str, bytes | Image.Image], where: str = "made up") -> Listing:
    """Images by name, ``CLASS/NAME``, in the order of the mapping."""
    names = list(files)
    classes = tuple(sorted({name.partition("/")[0] for name in names}))
    return Listing(
        where=where,
        classes=classes,
        labels=torch.tensor([classes.index(name.partition("/")[0]) for name in names]),
        read=lambda i: files[names[i]],
        key=lambda i: names[i],
        name=lambda i: f"{where}/{names[i]}",
    )
