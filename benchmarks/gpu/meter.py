"""A meter in the training loop: it hands the batches on, and looks at the clock between steps.

The loop asks its stream for one batch a step. The meter stands in for the stream, so what runs is
the loop of every run. The device is waited for where a window begins and ends, never inside.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import optimizer as optimizers

from benchmarks.gpu.probe import BusySampler, KernelTrace
from fewshot_core.data import Batch, BatchStream
from fewshot_core.data.prefetch import PrefetchedStream
from fewshot_core.runs.preemption import StopRequest

WARM_STEPS, WARM_SECONDS, LEAST_STEPS = 10, 3.0, 3
"""A warm-up ends after so many steps and a second, or after so many seconds and a few steps."""


class Marks:
    """Times at which parts of a step begin and end, on the host and on the device."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.marks: list[tuple[str, bool, float, torch.cuda.Event | None]] = []

    def mark(self, part: str, begins: bool) -> None:
        """A part begins, or ends. What is captured for later happens at no time of its own."""
        if self.cuda and torch.cuda.is_current_stream_capturing():
            return
        event = None
        if self.cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
        self.marks.append((part, begins, time.perf_counter(), event))

    def split(self, steps: int) -> dict[str, dict[str, float]]:
        """Milliseconds of a step by part, of the host and of the device."""
        found = {"host": self._split(steps, lambda a, b: 1e3 * (b[2] - a[2]))}
        if self.cuda:
            found["device"] = self._split(steps, lambda a, b: a[3].elapsed_time(b[3]))
        return found

    def _split(self, steps: int, between: Callable[[Any, Any], float]) -> dict[str, float]:
        parts: dict[str, float] = {}
        began: dict[str, Any] = {}
        for mark in self.marks:
            if mark[1]:
                began[mark[0]] = mark
            elif mark[0] in began:
                took = between(began.pop(mark[0]), mark)
                parts[mark[0]] = parts.get(mark[0], 0.0) + took
        whole = between(self.marks[0], self.marks[-1])
        # Of a step that is one captured graph nothing inside can be told apart.
        rest = "rest" if "forward" in parts else "graph"
        parts[rest] = whole - sum(parts.values())
        return {part: round(value / steps, 3) for part, value in parts.items()}


@contextmanager
def marking(marks: Marks, model: nn.Module, accelerator: Accelerator) -> Iterator[None]:
    """Inside, forward and backward passes and steps of optimisers leave marks."""

    def mark_around(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            marks.mark(part, True)
            result = call(*args, **kwargs)
            marks.mark(part, False)
            return result

        return run

    hooks = [
        model.register_forward_pre_hook(lambda *_: marks.mark("forward", True)),
        model.register_forward_hook(lambda *_: marks.mark("forward", False)),
        optimizers.register_optimizer_step_pre_hook(lambda *_: marks.mark("optimiser", True)),
        optimizers.register_optimizer_step_post_hook(lambda *_: marks.mark("optimiser", False)),
    ]
    accelerator.backward = mark_around("backward", accelerator.backward)
    try:
        yield
    finally:
        del accelerator.backward
        for hook in hooks:
            hook.remove()


@dataclass
class Meter:
    """Stands in for the stream of a training, and stops it when all is measured.

    Attributes:
        stream: Makes the batches.
        model: Is trained.
        accelerator: The accelerator of the training.
        stop: What stops the training.
        seconds: That are timed.
        warm_seconds: Of a warm-up, at most; one of more than WARM_SECONDS is not cut short, and
            the milliseconds of its steps are kept.
        row: What was measured.
    """

    stream: BatchStream | PrefetchedStream | Held
    model: nn.Module
    accelerator: Accelerator
    stop: StopRequest
    seconds: float
    warm_seconds: float = WARM_SECONDS
    row: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batch_size = self.stream.batch_size
        self._windows = self._measured()
        self._marks: Marks | None = None
        self._open = ExitStack()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def batch(self, step: int) -> Batch:
        """As of the stream."""
        next(self._windows, None)
        marks = self._marks
        if marks is None:
            return self.stream.batch(step)
        marks.mark("data", True)
        batch = self.stream.batch(step)
        marks.mark("data", False)
        return batch

    def close(self) -> None:
        """Take the hooks away, and end what the stream has started."""
        self._open.close()
        getattr(self.stream, "close", lambda: None)()

    def _measured(self) -> Iterator[None]:
        """Goes on at the beginning of each step."""
        began = time.perf_counter()
        yield
        self._wait()
        self.row["first_step_seconds"] = round(time.perf_counter() - began, 3)
        began, times = time.perf_counter(), [time.perf_counter()]
        while not self._warm(len(times) - 1, times[-1] - began):
            yield
            if self.warm_seconds > WARM_SECONDS:
                self._wait()
            times.append(time.perf_counter())
        self._wait()
        self.row["warm_up_steps"] = len(times)
        self.row["warm_up_seconds"] = round(time.perf_counter() - began, 3)
        if self.warm_seconds > WARM_SECONDS:
            self.row["warm_up_ms"] = [round(1e3 * (b - a)) for a, b in pairwise(times)]
        yield from self._timed()
        step = self.row["ms_per_step"] / 1e3
        if self.accelerator.device.type == "cuda":
            yield from self._profiled(max(2, min(10, round(0.5 / step))))
        yield from self._split(max(2, min(20, round(1 / step))))
        self.stop.number = signal.SIGTERM

    def _warm(self, steps: int, seconds: float) -> bool:
        """Whether so much warm-up is enough."""
        if self.warm_seconds > WARM_SECONDS:
            return seconds >= self.warm_seconds
        if steps >= WARM_STEPS and seconds >= min(1.0, self.seconds):
            return True
        return steps >= LEAST_STEPS and seconds >= min(WARM_SECONDS, self.seconds)

    def _timed(self) -> Iterator[None]:
        sampler, steps = BusySampler(), 0
        sampler.start()
        began = time.perf_counter()
        while time.perf_counter() - began < self.seconds or steps < 2:
            yield
            steps += 1
        self._wait()
        took = time.perf_counter() - began
        self.row |= sampler.stop()
        self.row |= {
            "steps": steps,
            "timed_seconds": round(took, 3),
            "steps_per_second": round(steps / took, 3),
            "ms_per_step": round(1e3 * took / steps, 3),
        }

    def _profiled(self, steps: int) -> Iterator[None]:
        try:
            trace = KernelTrace()
            trace.start()
        except RuntimeError as error:
            self.row["profile_error"] = str(error)[:200]
            return
        for _ in range(steps):
            yield
        self._wait()
        try:
            self.row |= trace.stop(steps)
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            self.row["profile_error"] = str(error)[:200]
            return
        share = self.row["kernel_union_ms_per_step"] / self.row["ms_per_step"]
        self.row["kernel_share_percent"] = round(100 * share, 1)

    def _split(self, steps: int) -> Iterator[None]:
        marks = Marks(self.accelerator.device)
        self._open.enter_context(marking(marks, self.model, self.accelerator))
        yield  # a step in which hooks are new to whatever was compiled
        self._wait()
        self._marks = marks
        for _ in range(steps):
            yield
        marks.mark("end", False)
        self._marks = None
        self._open.close()
        self._wait()
        self.row["ms_by_part"] = marks.split(steps)

    def _wait(self) -> None:
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()


class Held:
    """A few batches that lie on the device: none is made while steps are timed."""

    def __init__(self, stream: BatchStream, device: torch.device, count: int = 2) -> None:
        self.batch_size = stream.batch_size
        self._batches = [
            (images.to(device), targets.to(device))
            for images, targets in (stream.batch(step) for step in range(count))
        ]

    def batch(self, step: int) -> Batch:
        """One of them."""
        return self._batches[step % len(self._batches)]
