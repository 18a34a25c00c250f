"""The processes of a launch: together on every training, or each on its own.

``processes=data``: every supernet is trained by all of them, each on a part of the batch.
``processes=regions``: every process trains supernets of its own as if it were the only one, and
they meet again when these are done.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import (
    DistributedType,
    GradientAccumulationPlugin,
    broadcast_object_list,
    gather_object,
    patch_environment,
)

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.launch import GIVEN, MEETING, settle_launch, works_apart, world_size
from fewshot_core.runs.memory import keep_freed_memory
from fewshot_core.runs.precision import fp16_on_cpu, resolve_precision
from fewshot_core.runs.preemption import StopRequest
from fewshot_core.runs.pulse import LostProcessError, Pulse
from fewshot_core.runs.threads import VARIABLE, choose_threads
from fewshot_core.runs.variables import asks_for_cpu, read_told_precision, settle_variables
from fewshot_core.spaces.region import Region, RegionTree

Item = TypeVar("Item")
Result = TypeVar("Result")

MEETING_TIME = timedelta(minutes=10)
"""How long the processes of a launch wait for each other at the start."""

STEP_TIME = timedelta(hours=1)
"""How long processes that train together wait for each other: the main one reads images first."""

PATIENCE = timedelta(days=14)
"""How long processes that work on their own wait for each other; the launcher ends the others when
one dies."""

LOOK_SECONDS = 0.2
"""How often a process looks whether another one's checkpoint is there."""


def settle_process(recipe: Recipe) -> int:
    """Settle what this process takes from its environment; the number of its CPU threads, now set.

    Raises:
        FewshotError: The environment describes a launch that cannot be, or asks for something that
            cannot be had.
    """
    settle_launch()
    for line in settle_variables():  # a tool has told its user already, and nothing is left
        warnings.warn(line, stacklevel=2)
    count = choose_threads(recipe.threads).count
    torch.set_num_threads(count)
    return count


def make_accelerator(recipe: Recipe, run: Path) -> Accelerator:
    """The accelerator of this process for a run, with its CPU threads and memory set.

    Args:
        recipe: The recipe of the run.
        run: The folder of the run; what it began with counts.

    Raises:
        FewshotError: The environment describes a launch that cannot be, or asks for something that
            cannot be had; the device cannot compute in the precision; a process does not come.
    """
    threads = settle_process(recipe)
    # A launch of several processes on a machine without accelerators means several CPU processes;
    # left alone, Accelerate would let each of them believe that it is the only one.
    cpu = asks_for_cpu() or (world_size() > 1 and not _has_accelerator())
    precision = resolve_precision(recipe.precision, RunFolder.precision(run), read_told_precision())
    if precision == "fp16" and (cpu or not _has_accelerator()):
        raise fp16_on_cpu(recipe.precision, run)
    # Without a number Accelerate would choose another one and say so.
    with patch_environment(**{VARIABLE: threads}):
        accelerator = _met(lambda: _accelerator(cpu, precision))
    if world_size() > 1:
        _set_timeout(PATIENCE if works_apart(recipe.processes) else STEP_TIME)
    torch.set_num_threads(threads)  # Accelerate may have set another number
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    return accelerator


def _accelerator(cpu: bool, precision: str) -> Accelerator:
    """Accelerate with all that it would ask the environment for."""
    # Single paths leave most of a supernet without gradients.
    handlers: list[Any] = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    if world_size() > 1:
        handlers.append(InitProcessGroupKwargs(timeout=MEETING_TIME))
    try:
        return Accelerator(
            cpu=cpu,
            mixed_precision=precision,
            kwargs_handlers=handlers,
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        )
    except ValueError as error:  # the device cannot compute in it
        raise RecipeError(
            f"precision={precision} cannot be used here", found=error, fix="precision=no"
        ) from None


def _met(make: Callable[[], Accelerator]) -> Accelerator:
    """Make the accelerator; where the other processes do not come, say so.

    Raises:
        LostProcessError: They did not, in the time that there is.
    """
    try:
        return make()
    except RuntimeError as error:
        if world_size() == 1 or not is_of_communication(error):
            raise
        raise LostProcessError(
            f"the {world_size()} processes of this launch did not all meet",
            found=f"{str(error).splitlines()[0][:100]} at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
            fix="start it with accelerate launch; without a launcher, unset "
            + " ".join((*GIVEN, *MEETING)),
        ) from None


def is_of_communication(error: RuntimeError) -> bool:
    """Whether an error is about the connection to other processes."""
    # Gloo raises plain RuntimeErrors that name its source file.
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


def _set_timeout(time: timedelta) -> None:
    # Its name until torch 2.13.
    earlier = torch.distributed.distributed_c10d._set_pg_timeout
    getattr(torch.distributed, "set_timeout", earlier)(time)


def do_once(writes: bool, work: Callable[[], None]) -> None:
    """Do something on the process that writes; where it is refused, all end with its line.

    Otherwise the others would wait for that one and end with an error of their own.

    Args:
        writes: Whether this process does it.
        work: What to do.

    Raises:
        FewshotError: What ``work`` has raised.
    """
    refused: list[FewshotError | None] = [None]
    if writes:
        try:
            work()
        except FewshotError as error:
            refused = [error]
    refusal: FewshotError | None = broadcast_object_list(refused)[0]
    if refusal is not None:
        raise refusal


class Alone(Accelerator):
    """A process of several that trains and scores as if it were the only one."""

    distributed_type = property(lambda self: DistributedType.NO)
    use_distributed = property(lambda self: False)
    num_processes = property(lambda self: 1)
    process_index = property(lambda self: 0)
    is_main_process = property(lambda self: True)

    def wait_for_everyone(self) -> None:
        return None

    def reduce(self, tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
        return tensor

    def gather(self, tensor: Any) -> Any:
        return tensor

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        yield


def make_worker(accelerator: Accelerator, team: Team) -> Accelerator:
    """What trainings and scores of this process run on: all processes, or this one alone."""
    if not team.apart:
        return accelerator
    cpu = accelerator.device.type == "cpu"
    plugin = GradientAccumulationPlugin(num_steps=1)
    return Alone(
        cpu=cpu,
        mixed_precision=accelerator.mixed_precision,
        gradient_accumulation_plugin=plugin,
    )


class Team:
    """The processes of a launch where each works on its own, or the one that all are together.

    Args:
        accelerator: The accelerator of the launch.
        apart: Whether each works on its own.
    """

    def __init__(self, accelerator: Accelerator, apart: bool) -> None:
        self.apart = apart and accelerator.num_processes > 1
        self.size = accelerator.num_processes if self.apart else 1
        self.rank = accelerator.process_index if self.apart else 0
        self._pulse: Pulse | None = None

    def owners(self, tree: RegionTree) -> dict[Region, int]:
        """Who trains which region: the leaves in turn, and a region above by its first leaf's."""
        leaves = {leaf: index % self.size for index, leaf in enumerate(tree.leaves())}

        def assign(node: RegionTree) -> dict[Region, int]:
            below: dict[Region, int] = {}
            for child in node.children:
                below |= assign(child)
            return {node.region: leaves[node.leaves()[0]], **below}

        return assign(tree)

    @contextmanager
    def beating(self, folder: Path) -> Iterator[None]:
        """Inside, processes that work on their own give signs of life in a folder they share."""
        if not self.apart:
            yield
            return
        self._pulse = Pulse(folder, self.rank)
        with self._pulse.beating():
            yield

    def require(self, rank: int) -> None:
        """Raise a :class:`LostProcessError` where a process that is waited for is lost."""
        if self._pulse is not None:
            self._pulse.require(rank)

    def deal(self, items: Sequence[Item], work: Callable[[Item], Result]) -> list[Result]:
        """Do independent work in turns; everybody has all results, in the order of the items."""
        mine = {i: work(items[i]) for i in range(self.rank, len(items), self.size)}
        found = self.exchange(mine)
        return [found[index] for index in range(len(items))]

    def exchange(self, mine: dict[Any, Any]) -> dict[Any, Any]:
        """The entries of all processes."""
        if self.size == 1:
            return mine
        return {key: value for part in gather_object([mine]) for key, value in part.items()}


def wait_until_ended(
    checkpoint: StageCheckpoint, stop: StopRequest, alive: Callable[[], None]
) -> StageState:
    """The state of a training once it is done or given up, by whichever process.

    Args:
        checkpoint: The checkpoint of the training.
        stop: Ends the waiting when asked to.
        alive: Raises where who trains it is lost.

    Raises:
        LostProcessError: Nobody will end it.
        Preempted: ``stop`` was asked to.
    """
    while True:
        state = checkpoint.state()
        if state.done or state.diverged:
            return state
        stop.check()
        alive()
        time.sleep(LOOK_SECONDS)


def _has_accelerator() -> bool:
    # torch.accelerator came with torch 2.6.
    device = getattr(torch, "accelerator", torch.cuda)
    return bool(device.is_available())
