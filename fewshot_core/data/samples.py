"""A few images of every class, and how many there are in each part, for people to look at."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from fewshot_core.data.inventory import TEST, TRAIN, VALIDATION
from fewshot_core.data.sources import ImageData
from fewshot_core.data.thumbnails import thumbnail

FILE = "classes.json"
"""The file of a run folder that keeps what :func:`describe_classes` says."""

CLASSES = 20
"""Classes with pictures; of more, so many at equal distances."""

EACH = 6
"""Training images of each; of images without classes, :data:`CLASSES` in all."""

SIDE = 48
"""Pixels of a side, at most."""


def describe_classes(data: ImageData) -> dict[str, Any]:
    """Counts and samples of the classes, as JSON values. No test image is decoded for it.

    Returns:
        ``counts``, for each part a number of images for every class; ``samples``, for up to
        :data:`CLASSES` classes ``class`` and ``pictures``, ``data:`` addresses of training images
        at equal distances, none of them chosen.
    """
    counted = Counter((one.part, one.label) for one in data.inventory().entries.values())
    names = data.classes
    shown = _spread(torch.arange(len(names)), CLASSES)
    each = EACH if len(names) > 1 else CLASSES
    return {
        "counts": {
            part: [counted[part, name] for name in names] for part in (TRAIN, VALIDATION, TEST)
        },
        "samples": [
            {"class": label, "pictures": _pictures(data, label, each)} for label in shown.tolist()
        ],
    }


def _pictures(data: ImageData, label: int, count: int) -> list[str]:
    members = (data.train.labels == label).nonzero().flatten()
    chosen = _spread(members, count)
    return [thumbnail(pixels, SIDE) for pixels in data.train.pixels(chosen)] if len(chosen) else []


def _spread(values: Tensor, count: int) -> Tensor:
    """So many of them at equal distances, or all."""
    count = min(count, len(values))
    return values[torch.arange(count) * len(values) // max(count, 1)]
