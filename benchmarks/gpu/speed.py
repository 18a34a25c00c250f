"""How fast supernets are trained: the training loop of a run, with a meter for its stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from benchmarks.gpu.data import random_images
from benchmarks.gpu.meter import WARM_SECONDS, Held, Meter
from benchmarks.gpu.rows import Rows
from benchmarks.gpu.session import device_of, images_per_step, open_run, stop_after, train_root
from benchmarks.studies.runs import StudyRun
from fewshot_core.data import BatchStream, ImageData
from fewshot_core.runs.preemption import Preempted, StopRequest

CELLS = ("recipe=nasbench201_paper", "split=none", "checkpoint_steps=100000000", "precision=bf16")
NAME = "speed | cells"
TINY = ("network.channels=4", "network.cells_per_stage=1", "precision=auto")
WIDTHS = ("channels", "supernet_channels", "discriminator", "supernet_discriminator")
"""Settings of ``--toy``."""

LIMIT = 90.0
"""Seconds of a row, at most, once its run is open and warmed up."""

LONG = 100.0
"""Seconds of a long warm-up."""

TOY_SECONDS = 0.2
"""That are timed with ``--toy``."""


@dataclass(frozen=True)
class Case:
    """A training whose speed is measured.

    Attributes:
        key: Name of its row.
        words: Its settings.
        note: What is special about it.
        images: Makes its images; None: those of the command.
        held: Whether a few batches are held on the device.
        warm_seconds: Of a warm-up. Where networks of many shapes are trained, the kernels of new
            ones are made for minutes; what a long training has is seen after that.
    """

    key: str
    words: tuple[str, ...]
    note: str = ""
    images: Callable[[], ImageData] | None = None
    held: bool = False
    warm_seconds: float = WARM_SECONDS


def together(count: int, batch: int, section: str = "supernet") -> tuple[str, str]:
    """Settings of so many architectures in one step, which share a batch out."""
    return f"{section}.paths.together={count}", f"{section}.batch_size={batch}"


def cells(count: int, each: int, *more: str) -> Case:
    """Cells, so many in a step with so many images each."""
    batch = count * each
    which = f"N={more[0].partition('=')[2]}, " if more else ""
    key = f"{NAME}, {which}together={count}, batch={batch}"
    return Case(key, (*CELLS, *together(count, batch), *more))


PATHS_ALONE = Case(f"{NAME}, single paths, batch=48", CELLS)
TOGETHER = cells(20, 48)
"""The step of the study."""


def cases(toy: bool) -> list[Case]:
    """All of them, the most important ones first."""
    if toy:
        return [
            Case(f"{NAME}, single paths, batch=16", (*CELLS, *TINY, "supernet.batch_size=16")),
            toy_together(),
            _imagenet(32, 4, "2"),
            _autogan("toy", *(f"network.{name}=4" for name in WIDTHS)),
        ]
    one = "network.cells_per_stage=1"
    return [
        PATHS_ALONE,
        TOGETHER,
        _imagenet(224, 1024, "256"),
        _imagenet(224, 1024, "1024"),
        _imagenet(224, 1024, "1024", LONG),
        _autogan("as it stands"),
        _autogan("bf16", "precision=bf16"),
        cells(5, 48),
        cells(40, 48),
        cells(20, 16),
        cells(20, 48, one),
    ]


def toy_together() -> Case:
    """The small one of ``--toy``."""
    case = cells(5, 4)
    return Case(case.key, (*case.words, *TINY))


def _imagenet(size: int, batch: int, micro: str, warm: float = WARM_SECONDS) -> Case:
    toy = size < 224
    words = [
        *("recipe=imagenet", "split=none", f"precision={'auto' if toy else 'bf16'}"),
        *("channels_last=true", "network.space=ofa_mbv3", f"data.image_size={size}"),
        *("data.root=.", "data.workers=0", "data.scale=1", "data.jitter=0", "data.memory=true"),
        *(f"supernet.batch_size={batch}", f"supernet.micro_batch={micro}"),
        # As many steps as on ImageNet: the loss is looked at every so many of all.
        *("supernet.epochs=1000000", "checkpoint_steps=100000000", "constraint.flops=none"),
    ]
    count, classes = (600, 10) if toy else (2048, 1000)
    after = f", after {warm:g} s" if warm > WARM_SECONDS else ""
    return Case(
        f"speed | imagenet, {size} px, sandwich paths, batch={batch}, micro_batch={micro}{after}",
        tuple(words),
        f"{count} images of noise in memory; two batches are held on the device, so that making "
        "batches is no part of it; no random crops, no jitter",
        lambda: random_images(count, size, classes),
        held=True,
        warm_seconds=warm,
    )


def _autogan(name: str, *more: str) -> Case:
    words = ("recipe=autogan", "split=none", "metric=classifier", "checkpoint_steps=100000000")
    note = "steps of the discriminator; every fifth has one of the generator, too"
    return Case(f"speed | autogan, {name}", (*words, *more), note)


def measure_speed(case: Case, data: ImageData, seconds: float, limit: float) -> dict[str, Any]:
    """The row of a case: the supernet of the whole space, trained for some seconds.

    After ``limit`` seconds the training is stopped, whatever is missing.
    """
    began = time.perf_counter()
    images = data if case.images is None else case.images()
    with open_run(case.words, images) as run, stop_after(run, limit):
        began_training = time.perf_counter()
        row: dict[str, Any] = {"recipe": list(case.words)}
        row |= {"note": case.note} if case.note else {}
        row["start_seconds"] = round(began_training - began, 2)
        cuda = device_of(run).type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        row |= _measure_training(run, case, seconds)
        if cuda:
            row["peak_MiB"] = torch.cuda.max_memory_allocated() >> 20
            row["peak_reserved_MiB"] = torch.cuda.max_memory_reserved() >> 20
        row["images_per_step"] = images_per_step(run)
        row["images_per_second"] = round(row["images_per_step"] * row["steps_per_second"], 1)
        return row


def _measure_training(run: StudyRun, case: Case, seconds: float) -> dict[str, Any]:
    """Train with a meter until it has all; the run does the rest."""
    meters: list[Meter] = []

    def wrap(stream: Any, model: nn.Module, accelerator: Accelerator, stop: StopRequest) -> Meter:
        if case.held:
            assert isinstance(stream, BatchStream)
            stream = Held(stream, accelerator.device)
        meters.append(Meter(stream, model, accelerator, stop, seconds, case.warm_seconds))
        return meters[-1]

    try:
        train_root(run, wrap)
    except Preempted:  # by the meter, which has all, or by the time
        if not meters or "ms_per_step" not in meters[-1].row:
            raise
    except Exception as error:
        if not meters or "ms_per_step" not in meters[-1].row:
            raise
        meters[-1].row["error_after_timing"] = f"{type(error).__name__}: {error}"[:300]
    finally:
        for meter in meters:
            meter.close()
    return meters[-1].row


def run_speed(rows: Rows, data: ImageData, toy: bool, seconds: float = 3) -> bool:
    """All cases; whether the device still works."""
    seconds = TOY_SECONDS if toy else seconds
    return all(speed_row(rows, case, data, seconds) for case in cases(toy))


def speed_row(rows: Rows, case: Case, data: ImageData, seconds: float) -> bool:
    """The row of a case, unless it is there."""

    def measure() -> dict[str, Any]:
        limit = min(LIMIT + case.warm_seconds, rows.budget.left - 2)
        return measure_speed(case, data, seconds, limit)

    needed = (8 if case.held else 4) * seconds + case.warm_seconds - WARM_SECONDS
    return rows.run(case.key, needed, measure)
