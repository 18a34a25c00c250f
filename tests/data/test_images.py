"""Arrays, splits and statistics."""

from __future__ import annotations

import pytest
import torch

from fewshot_core.data.images import (
    ImageArray,
    channel_statistics,
    class_balanced_split,
    class_balanced_subset,
)
from fewshot_core.errors import DataError
from fewshot_core.seeds import derive_seed

LABELS = torch.tensor([0] * 50 + [1] * 20 + [2] * 10)


def array(count: int = 6, channels: int = 3) -> ImageArray:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None]
    return ImageArray(
        images.expand(count, channels, 4, 4).contiguous(), torch.arange(count) % 2, ("a", "b")
    )


def test_subset_keeps_the_given_order():
    chosen = array().subset([4, 1])
    assert len(chosen) == 2
    assert chosen.images[:, 0, 0, 0].tolist() == [4, 1]
    assert chosen.labels.tolist() == [0, 1]


def test_concat_appends():
    joined = array(2).concat(array(4))
    assert joined.images[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2, 3]
    assert len(joined.labels) == 6


def test_concat_refuses_other_shapes():
    with pytest.raises(DataError, match="cannot be joined"):
        array().concat(array(channels=1))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), "uint8"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "int64"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2), "int64"),
    ],
)
def test_array_refuses_what_does_not_fit(images, labels, message):
    with pytest.raises(DataError, match=message):
        ImageArray(images, labels, ("a", "b"))


@pytest.mark.parametrize(("share", "expected"), [(0.2, [10, 4, 2]), (0.5, [25, 10, 5])])
def test_split_holds_out_the_same_share_of_every_class(share, expected):
    kept, held = class_balanced_split(LABELS, share, seed=3)
    assert torch.bincount(LABELS[held]).tolist() == expected
    assert torch.cat([kept, held]).sort().values.tolist() == list(range(len(LABELS)))


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_split_leaves_every_class_on_both_sides(share):
    for part in class_balanced_split(LABELS, share, seed=0):
        assert LABELS[part].unique().tolist() == [0, 1, 2]


def test_split_depends_on_the_seed_alone():
    first, again, other = (class_balanced_split(LABELS, 0.2, seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_split_refuses_a_share_out_of_range(share):
    with pytest.raises(DataError, match="out of range"):
        class_balanced_split(LABELS, share, seed=0)


def test_split_names_the_class_that_is_too_small():
    with pytest.raises(DataError, match="class 'rare' has too few images"):
        class_balanced_split(torch.tensor([0, 0, 1]), 0.5, 0, ("common", "rare"))


def test_split_keeps_as_many_as_it_is_told() -> None:
    """Even where the share would leave a class with fewer."""
    labels = torch.tensor([0] * 3 + [1] * 30)
    kept, held = class_balanced_split(labels, 0.9, seed=0, keep=2)
    assert torch.bincount(labels[kept]).tolist() == [2, 3]
    assert torch.bincount(labels[held]).tolist() == [1, 27]
    for count in (1, 2):
        with pytest.raises(DataError, match=rf"class 1 .* \| found: {count} \| allowed: 3 or more"):
            class_balanced_split(torch.tensor([0] * 3 + [1] * count), 0.5, 0, keep=2)


def test_split_names_every_class_that_is_too_small() -> None:
    with pytest.raises(DataError, match=r"class 'b' .* and 1 more: class 'c' has too few"):
        class_balanced_split(torch.tensor([0, 0, 1, 2]), 0.5, 0, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("count", "minimum", "expected"),
    [
        (8, 1, [5, 2, 1]),
        (40, 1, [25, 10, 5]),
        (6, 2, [2, 2, 2]),
        (9, 2, [5, 2, 2]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_subset_keeps_the_shares_of_the_classes(count, minimum, expected):
    chosen = class_balanced_subset(LABELS, count, seed=0, minimum=minimum)
    assert torch.bincount(LABELS[chosen]).tolist() == expected
    assert len(chosen.unique()) == count


@pytest.mark.parametrize("count", range(3, 81))
def test_subset_has_the_exact_size(count):
    assert len(class_balanced_subset(LABELS, count, seed=0)) == count


def test_subset_smaller_than_the_number_of_classes_is_random():
    assert len(class_balanced_subset(LABELS, 2, seed=0)) == 2


def test_subset_of_everything_is_everything():
    assert class_balanced_subset(LABELS, 1000, seed=0).tolist() == list(range(80))


def test_statistics_equal_the_definition():
    images = torch.randint(0, 256, (1500, 3, 5, 5), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    scaled = images.double() / 255
    assert mean == pytest.approx(scaled.mean(dim=(0, 2, 3)).tolist())
    assert std == pytest.approx(scaled.std(dim=(0, 2, 3), correction=0).tolist())


def test_seeds_are_fixed_and_tell_parts_apart():
    assert derive_seed(0) == 4429783136828819033  # recorded runs depend on it
    seeds = {
        derive_seed(*parts)
        for parts in [(1, 2), (12,), ("1", 2), ("1", "2"), ("12",), (2, 1), ("1\0s1:2",), (-1, 2)]
    }
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    with pytest.raises(ValueError, match="at least one"):
        derive_seed()


def test_resized_pixels_are_means_of_what_they_cover() -> None:
    images = torch.tensor([[[[0, 4, 10, 10], [8, 4, 10, 10], [1, 1, 0, 0], [1, 1, 0, 255]]]])
    array = ImageArray(images.to(torch.uint8), torch.tensor([0]), ("a",))
    small = array.resize(2)
    assert small.images.tolist() == [[[[4, 10], [1, 64]]]]
    assert small.labels is array.labels
    assert array.resize(4) is array
