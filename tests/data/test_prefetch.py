"""Batches made ahead: little shared memory, and workers that fail, are killed or hang."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fewshot_core.data import prefetch
from fewshot_core.data.augment import Augment
from fewshot_core.data.files import ImageFiles
from fewshot_core.data.images import ImageArray
from fewshot_core.data.prefetch import PrefetchedStream, affordable, free_shared_memory
from fewshot_core.data.sources import load_images
from fewshot_core.data.stream import Batch, BatchStream
from fewshot_core.errors import DataError
from fewshot_core.recipe.schema import DataSettings

from .forms import CLASSES, images, write_folder, write_shards, write_tar

MB = 2**20


def stream(kind: type[BatchStream] = BatchStream) -> BatchStream:
    pixels = torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8)
    array = ImageArray(pixels, torch.arange(12) % 3, ("a", "b", "c"))
    return kind(array, batch_size=5, seed=1, mean=(0.5,) * 3, std=(0.2,) * 3, flip=True)


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("workers", "batch_bytes", "free", "count"),
    [
        (4, 3 * MB, None, 4),
        (4, 3 * MB, 64 * MB, 4),  # 51 MB: 2 in use and 2 for each of 7
        (16, 3 * MB, 64 * MB, 7),
        (1, 150 * MB, 64 * MB, 0),  # 256 images of 224 pixels in Docker's default
        (4, 3 * MB, 0, 0),
        (0, 3 * MB, 64 * MB, 0),
    ],
)
def test_as_many_workers_as_there_is_room_for(
    workers: int, batch_bytes: int, free: int | None, count: int
) -> None:
    assert affordable(workers, batch_bytes, free) == count


def test_a_batch_is_as_large_as_it_says() -> None:
    source = stream()
    assert source.batch_bytes == sum(part.nbytes for part in source.batch(0))


def test_processes_of_a_machine_share_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = free_shared_memory(tmp_path)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    quarter = free_shared_memory(tmp_path)
    assert alone is not None
    assert quarter == pytest.approx(alone / 4, rel=0.05)
    assert free_shared_memory(tmp_path / "none") is None


@pytest.mark.process
@pytest.mark.parametrize(("batches", "left"), [(7, 2), (1, 0)])
def test_fewer_workers_make_the_same_batches(
    monkeypatch: pytest.MonkeyPatch, batches: int, left: int
) -> None:
    source, told = stream(), list[str]()
    room = int((batches + 0.5) * source.batch_bytes / prefetch.ROOM)
    monkeypatch.setattr(prefetch, "free_shared_memory", lambda: room)
    ahead = PrefetchedStream(source, 3, told.append)
    assert all(equal(ahead.batch(step), source.batch(step)) for step in range(3))
    assert ahead.workers == left
    [line] = told
    assert f"data.workers=3: /dev/shm has room for the batches of {left or 'none'}" in line
    assert "--shm-size" in line


@pytest.mark.process
def test_memory_that_fills_under_way_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Tensor.share_memory_

    def full(tensor: Tensor) -> Tensor:
        if tensor.dtype == torch.float32 and torch.equal(tensor, source.batch(2)[0]):
            raise RuntimeError("unable to allocate shared memory(shm): No space left on device")
        return shared(tensor)

    source, told = stream(), list[str]()
    monkeypatch.setattr(Tensor, "share_memory_", full)  # the workers are forks
    ahead = PrefetchedStream(source, 1, told.append)
    assert all(equal(ahead.batch(step), source.batch(step)) for step in range(4))
    assert ahead.workers == 0
    assert "No space left on device" in told[0]
    assert multiprocessing.active_children() == []


@pytest.mark.process
def test_without_semaphores_the_training_makes_its_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source, told = stream(), list[str]()
    monkeypatch.setattr(prefetch.DataLoader, "__iter__", refused)
    assert equal(PrefetchedStream(source, 2, told.append).batch(0), source.batch(0))
    assert "No space left on device" in told[0]


class Unreadable(BatchStream):
    def batch(self, step: int) -> Batch:
        if step == 1:
            raise DataError("photo.jpg cannot be read", fix="delete it")
        return super().batch(step)


@pytest.mark.process
def test_what_is_wrong_with_an_image_is_one_line() -> None:
    ahead = PrefetchedStream(stream(Unreadable), 1)
    ahead.batch(0)
    with pytest.raises(DataError, match=r"^photo.jpg cannot be read \| to fix: delete it$"):
        ahead.batch(1)


class Hanging(BatchStream):
    def batch(self, step: int) -> Batch:
        if step == 1:
            time.sleep(60)
        return super().batch(step)


@pytest.mark.process
def test_a_worker_that_hangs_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "WAIT_SECONDS", 1)
    ahead = PrefetchedStream(stream(Hanging), 1)
    ahead.batch(0)
    with pytest.raises(DataError, match=r"is lost.*timed out.*data\.workers=0"):
        ahead.batch(1)
    assert multiprocessing.active_children() == []


@pytest.mark.process
def test_a_worker_that_was_killed_is_one_line() -> None:
    before = set(multiprocessing.active_children())
    ahead = PrefetchedStream(stream(Hanging), 1)
    ahead.batch(0)
    [worker] = set(multiprocessing.active_children()) - before
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(DataError, match=r"is lost.*DataLoader worker.*fewer data\.workers"):
        ahead.batch(1)


HELD = """
from tests.data.test_prefetch import stream
from fewshot_core.data.prefetch import PrefetchedStream
ahead = PrefetchedStream(stream(), 1)
ahead.batch(0)
raise RuntimeError("a bug, whose traceback holds what there is")
"""


def test_a_program_that_fails_ends() -> None:
    """Its workers do not listen to SIGTERM, and multiprocessing waits for them at the end."""
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "a bug" in done.stderr


SMALL = """
import torch
from fewshot_core.data import prefetch
from tests.data.test_prefetch import equal, stream
source = stream()
source.batch_size = source._share = 4000  # 3 MB, and there is 1 MB
prefetch.affordable = lambda workers, *_: workers  # another program fills the rest later
ahead = prefetch.PrefetchedStream(source, 2, print)
print(all(equal(ahead.batch(step), source.batch(step)) for step in range(3)), ahead.workers)
"""


def test_a_small_shared_memory_for_real() -> None:
    mounts = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "sh", "-c", mounts, sys.executable, SMALL]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if done.returncode and ("unshare:" in done.stderr or "mount:" in done.stderr):
        pytest.skip("mounting is not allowed here")
    assert done.stdout.splitlines()[-1:] == ["True 0"], done.stderr
    assert "shared memory is full" in done.stdout


def sources(folder: Path) -> dict[str, DataSettings]:
    """The same images in every form that is read at every use."""
    rows = images(6)
    write_folder(folder / "plain", rows)
    members = [(f"{CLASSES[label]}/{i}.png", data) for i, (label, data) in enumerate(rows)]
    write_tar(folder / "images.tar", members)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    packed = gzip.compress((folder / "images.tar").read_bytes())
    (folder / "images.tar.gz").write_bytes(packed)
    write_shards(f"{folder}/shards/{{}}.tar", rows)
    roots = {
        **{name: ("images", name) for name in ("plain", "images.tar", "images.zip")},
        "images.tar.gz": ("images", "images.tar.gz"),
        "unlabelled": ("images", "plain"),
        "shards": ("wds", "shards"),
    }
    return {
        name: DataSettings(
            source=source, root=str(folder / root), memory=False, labelled=name != "unlabelled"
        )
        for name, (source, root) in roots.items()
    } | {"digits": DataSettings(memory=False, limit=60)}


def test_streams_can_be_sent_to_processes_that_know_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the start methods spawn and forkserver send them; the latter is Python 3.14's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, settings in sources(tmp_path).items():
        data = load_images(settings, 0)
        augment = Augment(scale=0.5, jitter=0.3, policy="rand-m9-mstd0.5", erase=0.5)
        source = BatchStream(
            data.train, batch_size=4, seed=1, mean=data.mean, std=data.std, augment=augment
        )
        sent = pickle.loads(ForkingPickler.dumps(source))
        assert equal(sent.batch(3), source.batch(3)), name
        assert isinstance(data.train, ImageFiles), name
        listing = data.train.listing
        again = pickle.loads(pickle.dumps(listing))
        assert (again.key(0), again.name(0)) == (listing.key(0), listing.name(0))


@pytest.mark.process
def test_workers_that_are_started_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, images(6))
    data = load_images(DataSettings(source="images", root=str(tmp_path), memory=False), 0)
    source = BatchStream(data.train, batch_size=4, seed=1, mean=data.mean, std=data.std)
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        ahead = PrefetchedStream(source, workers=1)
        assert all(equal(ahead.batch(step), source.batch(step)) for step in range(2))
        assert ahead.workers == 1
        ahead.close()
    finally:
        multiprocessing.set_start_method(before, force=True)
