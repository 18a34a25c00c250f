from __future__ import annotations

import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot_core.data.augment import Augment, seeded
from fewshot_core.data.files import ImageFiles
from fewshot_core.data.folders import list_images
from fewshot_core.data.images import ImageArray
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.data.sources import load_images
from fewshot_core.data.stream import BatchStream, EvalBatches
from fewshot_core.errors import DataError, RecipeError
from fewshot_core.recipe.schema import DataSettings

STRONG = Augment(scale=0.3, jitter=0.0, policy="rand-m9-mstd0.5", erase=0.5)


def array(channels: int = 3, size: int = 12) -> ImageArray:
    pixels = torch.randint(
        256,
        (10, channels, size, size),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )
    return ImageArray(pixels, torch.arange(10) % 2, ("a", "b"))


def stream(augment: Augment, channels: int = 3, **more: int) -> BatchStream:
    mean, std = [0.5] * channels, [0.25] * channels
    return BatchStream(
        array(channels), batch_size=4, seed=1, mean=mean, std=std, augment=augment, **more
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "augment",
    [
        STRONG,
        Augment(scale=0.2),
        Augment(jitter=0.4),
        Augment(policy="original"),
        Augment(erase=1.0),
    ],
    ids=["all", "crops", "jitter", "policy", "erase"],
)
def test_batches_are_a_function_of_the_step(augment: Augment, channels: int) -> None:
    plain = stream(Augment(), channels).batch(3)[0]
    images, labels = stream(augment, channels).batch(3)
    random.seed(5)
    torch.manual_seed(5)
    again = stream(augment, channels).batch(3)[0]
    assert images.shape == plain.shape
    assert torch.equal(images, again)
    assert not torch.equal(images, plain)
    assert torch.equal(labels, stream(Augment(), channels).batch(3)[1])
    assert not torch.equal(images, stream(augment, channels).batch(4)[0])


def test_it_leaves_the_global_generators_alone() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    stream(STRONG).batch(0)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_ranks_see_together_what_one_process_sees() -> None:
    whole = stream(STRONG).batch(2)[0]
    parts = [stream(STRONG, rank=rank, world=2).batch(2)[0] for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)


def test_it_leaves_the_images_alone() -> None:
    one = stream(STRONG)
    before = one.array.pixels(torch.arange(10)).clone()
    for step in range(5):
        one.batch(step)
    assert torch.equal(one.array.pixels(torch.arange(10)), before)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(RecipeError, match="augment=colours"):
        Augment(policy="colours")


@pytest.mark.process
def test_workers_make_the_same_batches() -> None:
    ahead = PrefetchedStream(stream(STRONG), 1)
    for step in (0, 1, 2, 7, 8):
        images, labels = ahead.batch(step)
        expected = stream(STRONG).batch(step)
        assert torch.equal(images, expected[0])
        assert torch.equal(labels, expected[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_leave_signals_to_the_process_that_trains(number: signal.Signals) -> None:
    before = set(multiprocessing.active_children())
    ahead = PrefetchedStream(stream(STRONG), 2)
    ahead.batch(0)  # from here on the workers have their handlers
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    for worker in workers:
        assert worker.pid is not None
        os.kill(worker.pid, number)
    for step in range(1, 12):
        assert torch.equal(ahead.batch(step)[0], stream(STRONG).batch(step)[0])
    assert all(worker.is_alive() for worker in workers)


# --- images that are read at every use


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for number in range(8):
            pixels = rng.integers(0, 256, (14, 10 + number, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return str(root)


def settings(root: str, memory: bool) -> DataSettings:
    return DataSettings(source="images", root=root, image_size=8, memory=memory)


def test_images_from_files_are_those_in_memory(folder: str) -> None:
    held, read = (load_images(settings(folder, memory), 0) for memory in (True, False))
    assert (held.shape, held.describe()) == (read.shape, read.describe())
    for one, other in ((held.train, read.train), (held.test(), read.test())):
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.pixels(torch.arange(len(one))), other.pixels(torch.arange(len(one))))
    assert read.mean == pytest.approx(held.mean)  # the sample is all there are
    assert isinstance(read.train, ImageFiles)
    assert read.resize(4).train.pixels(torch.tensor([0])).shape == (1, 3, 4, 4)
    joined = read.train.concat(read.validation)
    assert len(joined) == len(read.train) + len(read.validation)
    batches = list(EvalBatches(joined, 4, read.mean, read.std))
    assert sum(len(y) for _, y in batches) == len(joined)


def test_crops_are_of_the_image_as_it_is_stored(folder: str) -> None:
    read = load_images(settings(folder, False), 0)
    sizes = {read.train.picture(index).size for index in range(len(read.train))}
    assert len(sizes) > 1
    crops = Augment(scale=0.5).crop(read.train, torch.arange(4), [1, 2, 3, 4])
    assert crops.shape == (4, 3, 8, 8)


def test_images_of_different_files_are_not_joined(folder: str) -> None:
    one, other = (ImageFiles(list_images(folder), torch.arange(4), 8, 3) for _ in range(2))
    with pytest.raises(DataError, match="different files"):
        one.concat(other)


def test_an_image_seeds_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are those of torch.manual_seed all the same, by which runs began."""
    number = random.Random("7 erase").getrandbits(32)
    expected = torch.Generator().manual_seed(number)

    def refuse(seed: int) -> None:
        raise AssertionError("a device was seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    before = torch.get_rng_state()
    with seeded(7, "erase"):
        assert torch.equal(torch.randn(9), torch.randn(9, generator=expected))
        assert torch.equal(torch.randperm(9), torch.randperm(9, generator=expected))
    assert torch.equal(torch.get_rng_state(), before)
