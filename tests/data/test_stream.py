"""Batches: pure, complete, sliced alike on every process, and augmented by whole pixels."""

from __future__ import annotations

import pytest
import torch

from fewshot_core.data.images import ImageArray
from fewshot_core.data.stream import BatchStream, EvalBatches, calibration_batches
from fewshot_core.errors import DataError, RecipeError

PLAIN = {"mean": (0.0, 0.0), "std": (1 / 255, 1 / 255)}  # leaves 0..255 as they are
COUNT, SIZE = 30, 8


@pytest.fixture
def array() -> ImageArray:
    # No black pixels: black is what augmentation puts in.
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (COUNT, 2, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    labels = torch.arange(COUNT) // 10  # in order of class, as folders are
    return ImageArray(images, labels, ("a", "b", "c"))


def stream(array: ImageArray, **changes) -> BatchStream:
    options = {"batch_size": 12, "seed": 7, **PLAIN, **changes}
    return BatchStream(array, **options)


AUGMENTED = {"flip": True, "pad": 2, "cutout": 3}


def test_a_batch_is_a_function_of_seed_and_step(array):
    walked, jumped = stream(array, **AUGMENTED), stream(array, **AUGMENTED)
    batches = [walked.batch(step) for step in range(12)]
    for step in (11, 3, 3, 0, 7):
        for part, expected in zip(jumped.batch(step), batches[step], strict=True):
            assert torch.equal(part, expected)


def test_seed_and_step_change_the_batch(array):
    base = stream(array).indices(0)
    assert not torch.equal(base, stream(array, seed=8).indices(0))
    assert not torch.equal(base, stream(array).indices(1))


def test_the_same_images_are_augmented_anew_in_every_step(array):
    one = array.subset([0])
    batches = {stream(one, pad=2, batch_size=1).batch(step)[0].sum().item() for step in range(20)}
    assert len(batches) > 5


@pytest.mark.parametrize("batch_size", [1, 7, 12, 30, 70])
def test_every_epoch_shows_every_image_once(array, batch_size):
    source = stream(array, batch_size=batch_size)
    steps = -(-3 * COUNT // batch_size)
    shown = torch.cat([source.indices(step) for step in range(steps)])
    assert len(shown) == steps * batch_size
    epochs = shown[: 3 * COUNT].view(3, COUNT)
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(COUNT))
    assert not torch.equal(epochs[0], epochs[1])


def test_labels_belong_to_the_images(array):
    source = stream(array)
    images, labels = source.batch(2)
    index = source.indices(2)
    assert torch.equal(images.round().to(torch.uint8), array.images[index])
    assert torch.equal(labels, array.labels[index])


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("step", [0, 2, 5])
def test_ranks_together_are_the_batch_of_one_process(array, world, step):
    whole = stream(array, **AUGMENTED).batch(step)
    ranks = [stream(array, **AUGMENTED, rank=r, world=world).batch(step) for r in range(world)]
    for part in (0, 1):
        assert torch.equal(torch.cat([rank[part] for rank in ranks]), whole[part])


def test_pixels_are_normalised(array):
    mean, std = (0.2, 0.4), (0.1, 0.3)
    source = stream(array, mean=mean, std=std)
    images, _ = source.batch(0)
    raw = array.images[source.indices(0)].float() / 255
    expected = (raw - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert images.dtype == torch.float32
    torch.testing.assert_close(images, expected)


def test_a_constant_channel_stays_finite(array):
    images, _ = stream(array, std=(0.0, 0.0)).batch(0)
    assert images.isfinite().all()


def shifts(image: torch.Tensor, pad: int, flip: bool) -> list[torch.Tensor]:
    """Every image that shifting (and mirroring) by whole pixels can give."""
    padded = torch.nn.functional.pad(image, (pad, pad, pad, pad))
    size, offsets = image.shape[-1], range(2 * pad + 1)
    moved = [padded[:, y : y + size, x : x + size] for y in offsets for x in offsets]
    return moved + [one.flip(2) for one in moved] if flip else moved


@pytest.mark.parametrize(("pad", "flip"), [(2, False), (0, True), (2, True)])
def test_augmented_images_are_shifts_by_whole_pixels(array, pad, flip):
    source = stream(array, pad=pad, flip=flip)
    seen: set[int] = set()
    for step in range(15):
        images = source.batch(step)[0].round().to(torch.uint8)
        for image, index in zip(images, source.indices(step).tolist(), strict=True):
            possible = shifts(array.images[index], pad, flip)
            matches = [n for n, one in enumerate(possible) if torch.equal(one, image)]
            assert len(matches) == 1
            seen.update(matches)
    # 180 draws among at most 50: nearly all, and so both directions of each kind, must occur.
    assert len(seen) > 0.8 * (2 * pad + 1) ** 2 * (2 if flip else 1)


def test_without_augmentation_nothing_moves(array):
    source = stream(array)
    assert torch.equal(source.batch(1)[0].to(torch.uint8), array.images[source.indices(1)])


def test_cutout_blackens_one_square(array):
    source = stream(array, cutout=3)
    for image, index in zip(source.batch(0)[0].round(), source.indices(0), strict=True):
        black = image == 0
        assert torch.equal(black[0], black[1])
        rows, columns = black[0].any(1), black[0].any(0)
        assert torch.equal(black[0], rows[:, None] & columns[None, :])
        assert 2 <= rows.sum() <= 3
        assert 2 <= columns.sum() <= 3
        assert torch.equal(image[~black], array.images[index].float()[~black])


def test_the_array_is_not_changed(array):
    before = array.images.clone()
    stream(array, **AUGMENTED).batch(0)
    assert torch.equal(array.images, before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size is out of range"),
        ({"pad": -1}, "data.pad is out of range"),
        ({"cutout": -1}, "data.cutout is out of range"),
        ({"world": 5}, "cannot be divided among 5 processes"),
    ],
)
def test_settings_out_of_range_are_refused(array, changes, message):
    with pytest.raises(RecipeError, match=message):
        stream(array, **changes)


def test_an_empty_array_is_refused(array):
    with pytest.raises(DataError, match="no images to train on"):
        stream(array.subset([]))


def test_evaluation_is_in_order_and_complete(array):
    batches = list(EvalBatches(array, 8, **PLAIN))
    assert [len(labels) for _, labels in batches] == [8, 8, 8, 6]
    assert torch.equal(torch.cat([y for _, y in batches]), array.labels)
    assert torch.equal(torch.cat([x for x, _ in batches]).round().to(torch.uint8), array.images)


@pytest.mark.parametrize(("limit", "expected"), [(6, 6), (1000, COUNT), (0, 0)])
def test_evaluation_limit_is_spread_over_the_classes(array, limit, expected):
    labels = [y for _, y in EvalBatches(array, 4, **PLAIN, limit=limit)]
    counts = torch.bincount(torch.cat(labels)) if labels else torch.zeros(3, dtype=torch.int64)
    assert counts.tolist() == [expected // 3] * 3


def test_calibration_images_are_fixed_balanced_and_mixed(array):
    first, again, other = (
        list(calibration_batches(array, 15, 7, seed, **PLAIN)) for seed in (1, 1, 2)
    )
    assert [len(labels) for _, labels in first] == [5, 5, 5]
    labels = torch.cat([y for _, y in first])
    assert torch.bincount(labels).tolist() == [5, 5, 5]
    assert not torch.equal(labels, labels.sort().values)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_calibration_never_ends_in_a_batch_of_one(array):
    sizes = [len(y) for _, y in calibration_batches(array, 25, 8, 0, **PLAIN)]
    assert sizes == [7, 6, 6, 6]


def test_calibration_takes_every_image_at_most(array):
    assert sum(len(y) for _, y in calibration_batches(array, 999, 8, 0, **PLAIN)) == COUNT
