"""Counts and samples of classes: true, small, and of training images alone."""

from __future__ import annotations

import pytest
import torch

from fewshot_core.data import ImageArray, ImageData
from fewshot_core.data.samples import CLASSES, EACH, describe_classes
from fewshot_core.data.thumbnails import require_thumbnail


def data_of(labels: list[int], classes: int) -> ImageData:
    """Each image has the pixel of its place; test images have no pixels to look at."""

    def part(labels: list[int]) -> ImageArray:
        pixels = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None]
        names = tuple(f"c{n}" for n in range(classes))
        return ImageArray(pixels.expand(-1, 1, 4, 4), torch.tensor(labels), names)

    return ImageData("made", part(labels), part([0]), (0.5,), (0.5,), 2, lambda: part([1, 1]))


def test_counts_of_every_part_and_samples_of_every_class() -> None:
    found = describe_classes(data_of([0] * 12 + [1] * 2, 3))
    assert found["counts"] == {"train": [12, 2, 0], "validation": [1, 0, 0], "test": [0, 2, 0]}
    assert [len(one["pictures"]) for one in found["samples"]] == [EACH, 2, 0]
    pictures = [require_thumbnail(text) for one in found["samples"] for text in one["pictures"]]
    assert len({*pictures}) == 8


@pytest.mark.parametrize("classes", [1, 40])
def test_many_classes_and_one(classes: int) -> None:
    found = describe_classes(data_of([n % classes for n in range(200)], max(classes, 2)))
    shown = [one["class"] for one in found["samples"]]
    assert len(shown) == min(CLASSES, max(classes, 2))
    assert shown == sorted(shown)
