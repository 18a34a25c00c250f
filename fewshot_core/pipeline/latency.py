"""Latencies of a run: measured by one process before it begins, and kept."""

from __future__ import annotations

import random
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from fewshot_core.costs.latency import compare, measure_parts, with_latency
from fewshot_core.data import ImageShape
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.console import Console
from fewshot_core.runs.files import read_json
from fewshot_core.runs.folder import RunFolder
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.task import Task

LATENCY = "latency.json"
"""The file of a run folder that keeps the latencies measured."""

COMPARED = 5
"""Random networks that are timed as a whole, to see how near the sums are."""


def read_latency(folder: RunFolder) -> dict[str, Any] | None:
    """The latencies that a run folder holds, if it does.

    Raises:
        RunFolderError: The file is damaged.
    """
    path = folder.file(LATENCY)
    if not path.exists():
        return None
    found: dict[str, Any] = read_json(path, "delete it: the latencies are measured again")
    return found


def measure_latency(
    recipe: Recipe,
    task: Task,
    root: Region,
    shape: ImageShape,
    accelerator: Accelerator,
    console: Console,
    writes: bool,
) -> dict[str, Any]:
    """Time the parts of networks on the device of one process; all have to call it.

    Args:
        recipe: The recipe of the run.
        task: Its task.
        root: The whole space.
        shape: The shape of the images.
        accelerator: Says on which device.
        console: Shows the progress.
        writes: Whether this process is the one that measures.

    Returns:
        What ``latency.json`` holds, the same on every process.

    Raises:
        RecipeError: The task's networks cannot be taken apart.
    """
    parts = task.latency_parts(recipe, shape)
    found: list[Any] = [None]
    if writes:
        device = accelerator.device
        distinct = {part.key for options in parts.options.values() for part in options.values()}
        count = len(distinct | {part.key for part in parts.base})
        with console.progress("latency", count) as tick:
            measured = measure_parts(parts, device, tick)
        table = with_latency(task.costs(recipe, shape), measured)
        rng = random.Random(derive_seed(recipe.seed, "latency"))
        drawn = [root.sample(rng) for _ in range(COMPARED)]
        networks = {a: task.network(a, recipe, shape) for a in drawn}
        measured["compared"] = compare(table, networks, shape.input_size, device)
        console.print(
            "latency: sums of blocks differ from whole networks by "
            f"{measured['compared']['mean_deviation']:.0%} on average ({COMPARED} networks)"
        )
        found = [measured]
    measured_once: dict[str, Any] = broadcast_object_list(found)[0]
    return measured_once
