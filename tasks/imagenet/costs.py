"""The cost table of a mobile space."""

from __future__ import annotations

from fewshot_core.costs.table import MEASURES, CostTable
from fewshot_core.data import ImageShape
from fewshot_tasks.imagenet.counting import Cost, network_counts
from fewshot_tasks.imagenet.space import MobileSpace


def cost_table(space: MobileSpace, shape: ImageShape) -> CostTable:
    """Parameters and FLOPs of every network of the space, for images of this shape.

    Exact: a block's cost depends on the block, its unit and whether it is the first there.
    """
    counts = network_counts(space.skeleton, space.every_slot(), shape.input_size, shape.classes)
    return CostTable(
        space,
        _name_costs(counts.base),
        {
            place: {block: _name_costs(cost) for block, cost in blocks.items()}
            for place, blocks in counts.options.items()
        },
    )


def _name_costs(cost: Cost) -> dict[str, float]:
    return {name: float(value) for name, value in zip(MEASURES, cost, strict=True)}
