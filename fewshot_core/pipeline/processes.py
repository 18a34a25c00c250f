"""The processes of a launch: together on every training, or each on its own.

``processes=data``: every supernet is trained by all of them, each on a part of the batch.
``processes=regions``: every process trains supernets of its own as if it were the only one, and
they meet again when these are done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import DistributedType, broadcast_object_list, gather_object

from fewshot_core.errors import FewshotError, RecipeError
from fewshot_core.precision import AUTO, resolve_precision
from fewshot_core.recipe.schema import Recipe
from fewshot_core.region import Region, RegionTree
from fewshot_core.runs.checkpoint import StageCheckpoint, StageState
from fewshot_core.runs.folder import RunFolder
from fewshot_core.runs.preemption import StopRequest

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = timedelta(days=14)
"""How long processes that work on their own wait for each other; the launcher ends the others when
one dies."""

LOOK_SECONDS = 0.2
"""How often a process looks whether another one's checkpoint is there."""


def make_accelerator(recipe: Recipe, run: Path) -> Accelerator:
    """The accelerator of this process for a run, with its CPU threads set."""
    # Single paths leave most of a supernet without gradients.
    handlers: list[Any] = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    # A launch of several processes on a machine without accelerators means several CPU processes;
    # left alone, Accelerate would let each of them believe that it is the only one.
    cpu = _world() > 1 and not _has_accelerator()
    if _world() > 1 and recipe.processes == "regions":
        handlers.append(InitProcessGroupKwargs(timeout=PATIENCE))
    kept = RunFolder.precision(run) if recipe.precision == AUTO else None
    precision = resolve_precision(recipe.precision, kept)
    try:
        accelerator = Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=handlers)
    except ValueError as error:  # the device cannot compute in it
        raise RecipeError(
            f"precision={recipe.precision} cannot be used here", found=error, fix="precision=no"
        ) from None
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # `accelerate launch` starts processes with one thread unless told otherwise.
    torch.set_num_threads(recipe.threads or max(1, (os.cpu_count() or 1) // local))
    return accelerator


def on_main(accelerator: Accelerator, work: Callable[[], None]) -> None:
    """Do something on the main process; where it is refused, all processes end with its line.

    Otherwise the others would wait for the main one and end with an error of their own.

    Raises:
        FewshotError: What ``work`` has raised on the main process.
    """
    refused: list[FewshotError | None] = [None]
    if accelerator.is_main_process:
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


def worker(recipe: Recipe, accelerator: Accelerator) -> Accelerator:
    """What trainings and scores of this process run on: all processes, or this one alone."""
    if recipe.processes == "data" or accelerator.num_processes == 1:
        return accelerator
    cpu = accelerator.device.type == "cpu"
    return Alone(cpu=cpu, mixed_precision=accelerator.mixed_precision)


class Team:
    """The processes of a launch where each works on its own, or the one that all are together.

    Args:
        accelerator: Of the launch.
        apart: Whether each works on its own.
    """

    def __init__(self, accelerator: Accelerator, apart: bool) -> None:
        self.apart = apart and accelerator.num_processes > 1
        self.size = accelerator.num_processes if self.apart else 1
        self.rank = accelerator.process_index if self.apart else 0

    def owners(self, tree: RegionTree) -> dict[Region, int]:
        """Who trains which region: the leaves in turn, and a region above by its first leaf's."""
        leaves = {leaf: index % self.size for index, leaf in enumerate(tree.leaves())}

        def assign(node: RegionTree) -> dict[Region, int]:
            below: dict[Region, int] = {}
            for child in node.children:
                below |= assign(child)
            return {node.region: leaves[node.leaves()[0]], **below}

        return assign(tree)

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


def wait_until_ended(checkpoint: StageCheckpoint, stop: StopRequest) -> StageState:
    """The state of a training once it is done or given up, by whichever process."""
    while True:
        state = checkpoint.state()
        if state.done or state.diverged:
            return state
        stop.check()
        time.sleep(LOOK_SECONDS)


def _world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _has_accelerator() -> bool:
    # torch.accelerator came with torch 2.6.
    device = getattr(torch, "accelerator", torch.cuda)
    return bool(device.is_available())
