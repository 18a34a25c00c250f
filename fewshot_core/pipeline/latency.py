"""Latencies of a run: measured by its main process, before it begins."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list

from fewshot_core.costs.latency import compare, measure_parts, with_latency
from fewshot_core.seeds import derive_seed

if TYPE_CHECKING:
    from fewshot_core.pipeline.session import Session

COMPARED = 5
"""Random networks that are timed as a whole, to see how near the sums are."""


def measured_latency(session: Session) -> dict[str, Any]:
    """Time the parts of the run's networks on the device of the main process.

    Raises:
        RecipeError: The task's networks cannot be taken apart.
    """
    task, recipe, shape = session.task, session.recipe, session.data.shape
    parts = task.latency_parts(recipe, shape)
    found: list[Any] = [None]
    if session.accelerator.is_main_process:
        device = session.accelerator.device
        distinct = {part.key for options in parts.options.values() for part in options.values()}
        count = len(distinct | {part.key for part in parts.base})
        with session.console.progress("latency", count) as tick:
            measured = measure_parts(parts, device, tick)
        table = with_latency(task.costs(recipe, shape), measured)
        rng = random.Random(derive_seed(recipe.seed, "latency"))
        drawn = [session.root.sample(rng) for _ in range(COMPARED)]
        networks = {a: task.network(a, recipe, shape) for a in drawn}
        measured["compared"] = compare(table, networks, shape.input_size, device)
        session.console.print(
            "latency: sums of blocks differ from whole networks by "
            f"{measured['compared']['mean_deviation']:.0%} on average ({COMPARED} networks)"
        )
        found = [measured]
    table_of_main: dict[str, Any] = broadcast_object_list(found)[0]
    return table_of_main
