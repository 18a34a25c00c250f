"""A run inside of somebody else's program, which goes on after it as if nothing had happened.

A command ends with its run, and may do with its process what it likes. A program that calls the
same code may have an accelerator, threads, random numbers and answers to signals of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fewshot_core.errors import FewshotError
from fewshot_core.runs.launch import world_size
from fewshot_core.runs.preemption import Preempted
from fewshot_core.runs.threads import wait_passively

_AT_WORK = threading.Lock()
"""Torch's threads and random numbers and Accelerate's state belong to the process."""


class BusyProcessError(FewshotError):
    """A run is at work in this process already, or the process is one of several."""


@contextmanager
def as_guest() -> Iterator[None]:
    """Inside, a run may work in this process; afterwards all is as it was.

    A signal that asks the process to end lets the run come to a safe point, and then does what it
    would have done. Only the main thread can hear signals; elsewhere they are left alone. Ctrl-C
    raises ``KeyboardInterrupt`` as ever.

    Raises:
        BusyProcessError: A run is at work in this process, or the process is one of several.
        Preempted: The process was asked to end, and its own answer has let it live.
    """
    if world_size() > 1:
        raise BusyProcessError(
            "runs inside of a program use one process",
            found=f"{world_size()} processes",
            fix="start it without a launcher, or use the command fewshot",
        )
    if not _AT_WORK.acquire(blocking=False):
        raise BusyProcessError(
            "a run is at work in this process",
            allowed="one at a time",
            fix="wait for it, or start another process",
        )
    try:
        with _environment(), _torch():
            yield
    except Preempted as asked:
        if asked.request is not None:
            asked.request.release()
        signal.raise_signal(asked.number)  # the program's own answer, by default its end
        raise
    finally:
        _AT_WORK.release()


@contextmanager
def _environment() -> Iterator[None]:
    """Afterwards there are the variables again that a run takes away."""
    if "torch" not in sys.modules:
        wait_passively()
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in before.keys() - os.environ.keys():
            os.environ[name] = before[name]


@contextmanager
def _torch() -> Iterator[None]:
    """Inside, torch and Accelerate are a run's own."""
    import torch
    from accelerate.state import AcceleratorState, GradientState, PartialState

    threads = torch.get_num_threads()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=list(devices)))
        for state in (PartialState, AcceleratorState, GradientState):
            stack.enter_context(_set_aside(state._shared_state))
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _set_aside(shared: dict[str, Any]) -> Iterator[None]:
    """Inside, the dictionary is empty at first; afterwards it holds what it did."""
    before = dict(shared)
    shared.clear()
    try:
        yield
    finally:
        shared.clear()
        shared.update(before)
