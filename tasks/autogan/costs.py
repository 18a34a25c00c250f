"""The cost table of generators: additive over cells, and inside a cell over what it is made of.

One decision alone has no cost: a shortcut costs more where the cell upsamples by deconvolution. But
the pieces of a cell do, and each is measured once in a network that is otherwise the cheapest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fewshot_core.cost import CostTable, measure
from fewshot_core.region import Region
from fewshot_core.space import Architecture
from tasks.autogan.network import NEAREST, Generator, sources_of
from tasks.autogan.space import NORMS, UPSAMPLINGS, Cell, GeneratorSpace

PLAIN = (0, 0, NEAREST, 0, 0)
"""The cell without norm, shortcut and skips: what the pieces are measured on."""

Costs = Mapping[str, float]


@dataclass(frozen=True)
class GeneratorCosts(CostTable):
    """Costs of generators; ``pieces`` are those of cells, by the place of the cell and a name."""

    pieces: Mapping[tuple[int, str], Costs] = field(default_factory=dict)

    def total(self, architecture: Architecture | None) -> dict[str, float]:
        total = dict(self.base)
        if architecture is not None:
            assert isinstance(self.space, GeneratorSpace)
            for place, cell in enumerate(self.space.of_cells(architecture)):
                for name in pieces_of(place, cell):
                    for measure_name, value in self.pieces[place, name].items():
                        total[measure_name] += value
        return total

    def least(self, region: Region, name: str) -> float:
        assert isinstance(self.space, GeneratorSpace)
        return self.base[name] + sum(
            min(sum(self.pieces[place, p][name] for p in pieces_of(place, cell)) for cell in cells)
            for place, cells in enumerate(self.space.cells_of(region))
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "base": dict(self.base),
            "pieces": {
                f"cell{place + 1} {name}": dict(costs)
                for (place, name), costs in self.pieces.items()
            },
        }


def pieces_of(place: int, cell: Cell) -> Iterator[str]:
    """Names of what a cell is made of."""
    block, norm, up, shortcut = cell[:4]
    yield f"block {block} norm {norm}"
    yield f"upsample {up}"
    if shortcut:
        yield f"shortcut {up}"
    for source in sources_of(place, cell):
        yield f"skip {source} {up}"


def generator_costs(space: GeneratorSpace, shape: Mapping[str, int]) -> GeneratorCosts:
    """Measure every piece with fvcore.

    Args:
        space: Its number of cells counts.
        shape: Keyword arguments of :class:`tasks.autogan.network.Generator`.
    """
    plain = [PLAIN[: 4 + (place > 0)] for place in range(space.cells)]

    def cost(place: int = 0, cell: Cell | None = None) -> Costs:
        cells = [*plain[:place], cell or plain[place], *plain[place + 1 :]]
        vector = [value for one in cells for value in one]
        return measure(Generator(vector, **shape), (shape["latent"],))

    def more(costs: Costs, than: Costs) -> Costs:
        return {name: value - than[name] for name, value in costs.items()}

    base = cost()
    pieces: dict[tuple[int, str], Costs] = {}
    for place in range(space.cells):
        rest = plain[place][4:]
        for block in (0, 1):
            for norm in range(len(NORMS)):
                name = f"block {block} norm {norm}"
                pieces[place, name] = more(cost(place, (block, norm, NEAREST, 0, *rest)), base)
        for up in range(len(UPSAMPLINGS)):
            without = cost(place, (0, 0, up, 0, *rest))
            pieces[place, f"upsample {up}"] = more(without, base)
            pieces[place, f"shortcut {up}"] = more(cost(place, (0, 0, up, 1, *rest)), without)
            for source in range(place):
                bit = 1 << (place - 1 - source)
                costs = more(cost(place, (0, 0, up, 0, bit)), without)
                pieces[place, f"skip {source} {up}"] = costs
    return GeneratorCosts(space, base, {}, pieces)
