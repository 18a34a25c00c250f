"""The cost table of generators: additive over cells, and inside a cell over what it is made of.

Each piece is measured once, in a network that is otherwise the cheapest.
"""

from __future__ import annotations

from collections.abc import Mapping

from fewshot_core.costs.table import CostTable, measure
from fewshot_tasks.autogan.network import NEAREST, Generator
from fewshot_tasks.autogan.space import BLOCKS, NORMS, SKIPS, UPSAMPLINGS, Cell, GeneratorSpace

PLAIN = (0, 0, NEAREST, 0, 0)
"""The cell without norm, shortcut and skips: what the pieces are measured on."""

Costs = Mapping[str, float]


def generator_costs(space: GeneratorSpace, shape: Mapping[str, int]) -> CostTable:
    """Measure every piece of :meth:`GeneratorSpace.parts` with fvcore.

    Args:
        space: Its number of cells counts.
        shape: Keyword arguments of :class:`fewshot_tasks.autogan.network.Generator`.
    """
    plain = [PLAIN[: 4 + (place > 0)] for place in range(space.cells)]

    def cost(place: int = 0, cell: Cell | None = None) -> Costs:
        cells = [*plain[:place], cell or plain[place], *plain[place + 1 :]]
        return measure(Generator(cells, **shape), (shape["latent"],))

    def more(costs: Costs, than: Costs) -> Costs:
        return {name: value - than[name] for name, value in costs.items()}

    base = cost()
    pieces: dict[str, dict[str, Costs]] = {}
    for place in range(space.cells):
        rest = plain[place][4:]
        here = pieces.setdefault(f"cell{place + 1}", {})
        for block in range(len(BLOCKS)):
            for norm in range(len(NORMS)):
                measured = cost(place, (block, norm, NEAREST, 0, *rest))
                here[f"block {block} norm {norm}"] = more(measured, base)
        for up in range(len(UPSAMPLINGS)):
            without = cost(place, (0, 0, up, 0, *rest))
            here[f"upsample {up}"] = more(without, base)
            here[f"shortcut {up}"] = more(cost(place, (0, 0, up, 1, *rest)), without)
            for skips in range(1, len(SKIPS.get(place + 1, ()))):
                here[f"skips {skips} {up}"] = more(cost(place, (0, 0, up, 0, skips)), without)
    return CostTable(space, base, pieces)
