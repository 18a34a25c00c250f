"""The DARTS space (Liu et al., ICLR 2019): a normal and a reduction cell.

A cell has two inputs, 0 and 1, and four nodes, 2 to 5. A node adds two edges, from two of the
inputs and earlier nodes, each with one of seven operations; the output is the concatenation of
the nodes. A genotype is DARTS's own text::

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), ...)

Decisions are the two inputs of every node that has a choice, and the operation of every edge that
may be chosen; operations of edges that are not say nothing. A list of ``(input, operation)`` for
each cell, as NAS-Bench-301 writes it, is read as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fewshot_core.errors import ArchitectureError, nearest
from fewshot_core.spaces.space import (
    Architecture,
    Decision,
    Feature,
    Option,
    SearchSpace,
    append_idle,
    read_idle,
)

NAME = "darts"
"""Of the space; a strategy has the same name."""

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""In the order in which NAS-Bench-301 numbers them."""

KINDS = ("normal", "reduce")
INPUTS, NODES = 2, (2, 3, 4, 5)

DartsEdge = tuple[str, int]
"""An operation and the input or node that it reads."""

Cells = Mapping[str, tuple[tuple[DartsEdge, DartsEdge], ...]]
"""By kind of cell the two edges of each node."""

_PAIR = re.compile(r"""\(\s*['"](\w+)['"]\s*,\s*(\d+)\s*\)""")
_NUMBERS = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_CELL = {kind: re.compile(rf"{kind}\s*=\s*\[([^\]]*)\]") for kind in KINDS}
_CONCAT = re.compile(r"(\w+)_concat\s*=\s*(range\(2,\s*6\)|\[2,\s*3,\s*4,\s*5\])")


def edge_name(kind: str, node: int, source: int) -> str:
    """Name of the decision for an edge's operation: ``normal_edge_2_0``."""
    return f"{kind}_edge_{node}_{source}"


def inputs_name(kind: str, node: int) -> str:
    """Name of the decision for the inputs of a node: ``normal_node3_inputs``."""
    return f"{kind}_node{node}_inputs"


@dataclass(frozen=True)
class DartsSpace(SearchSpace):
    """Pairs of cells with two edges a node."""

    @cached_property
    def _pairs(self) -> dict[int, tuple[tuple[int, int], ...]]:
        return {node: tuple(itertools.combinations(range(node), 2)) for node in NODES}

    def cells(self, architecture: Architecture) -> Cells:
        """The edges of both cells, those of a node in the order of what they read."""
        chosen = self.choices(architecture)

        def edges(kind: str, node: int) -> tuple[DartsEdge, DartsEdge]:
            first, second = (
                read_pair(chosen[name])
                if (name := inputs_name(kind, node)) in chosen
                else self._pairs[node][0]
            )
            return (
                (str(chosen[edge_name(kind, node, first)]), first),
                (str(chosen[edge_name(kind, node, second)]), second),
            )

        return {kind: tuple(edges(kind, node) for node in NODES) for kind in KINDS}

    def of_cells(self, cells: Cells) -> Architecture:
        """The representative of the architectures with these cells.

        Raises:
            ArchitectureError: The space has no such cells.
        """
        choices: dict[str, Option] = {}
        for kind in KINDS:
            for node, pair in zip(NODES, cells[kind], strict=True):
                operations = {source: operation for operation, source in pair}
                pair_of = tuple(sorted(operations))
                if pair_of not in self._pairs[node]:
                    raise ArchitectureError(
                        f"node {node} of the {kind} cell cannot read {sorted(s for _, s in pair)}",
                        allowed=f"two of 0 to {node - 1}",
                    )
                if len(self._pairs[node]) > 1:
                    choices[inputs_name(kind, node)] = write_pair(pair_of)
                for source in range(node):
                    operation = operations.get(source, OPERATIONS[0])
                    if operation not in OPERATIONS:
                        raise ArchitectureError(
                            f"unknown operation {operation!r}",
                            allowed=", ".join(OPERATIONS),
                            fix=nearest(operation, OPERATIONS) or None,
                        )
                    choices[edge_name(kind, node, source)] = operation
        return self.architecture(choices)

    # -- text ------------------------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> str:
        return append_idle(self, genotype_text(self.cells(architecture)), architecture)

    def parse(self, genotype: str) -> Architecture:
        """Read DARTS's text, or NAS-Bench-301's lists of pairs.

        Raises:
            ArchitectureError: The text is neither, or the space has no such cells.
        """
        text, _, others = (genotype if isinstance(genotype, str) else "").partition("#")
        cells = _read_numbers(text) if text.strip().startswith("[") else _read_names(text)
        if cells is None:
            raise ArchitectureError(
                f"not a genotype of space {self.name!r}",
                found=str(genotype)[:120],
                allowed="Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], "
                "reduce_concat=range(2, 6)) with eight pairs ('operation', input) for each cell",
            )
        return read_idle(self, self.of_cells(cells), others)

    # -- networks --------------------------------------------------------------------------------

    def canonical(self, architecture: Architecture) -> Architecture:
        """The one with first choices for edges that no node reads."""
        return self.of_cells(self.cells(architecture))

    def plain(self, architecture: Architecture) -> Architecture:
        return self.canonical(architecture)

    def parts(self, architecture: Architecture) -> list[tuple[str, str]]:
        return [
            (edge_name(kind, node, source), operation)
            for kind, pairs in self.cells(architecture).items()
            for node, pair in zip(NODES, pairs, strict=True)
            for operation, source in pair
        ]

    def features(self) -> Mapping[str, Feature]:
        """Edges of each sort, and the depth of both cells."""

        def count(*operations: str) -> Feature:
            return lambda a: float(sum(operation in operations for _, operation in self.parts(a)))

        return {
            "skips": count("skip_connect"),
            "pools": count("max_pool_3x3", "avg_pool_3x3"),
            "convolutions": count(*OPERATIONS[3:]),
            "depth": lambda a: float(sum(map(_depth, self.cells(a).values()))),
        }


def darts() -> DartsSpace:
    """The space: 7^28 x 180^2 architectures, of (180 x 7^8)^2 = 1.1e18 networks."""
    decisions = []
    for kind in KINDS:
        for node in NODES:
            pairs = tuple(itertools.combinations(range(node), 2))
            if len(pairs) > 1:
                decisions.append(Decision(inputs_name(kind, node), tuple(map(write_pair, pairs))))
            decisions += [Decision(edge_name(kind, node, s), OPERATIONS) for s in range(node)]
    return DartsSpace(NAME, tuple(decisions))


def genotype_text(cells: Cells) -> str:
    """DARTS's text of two cells."""
    parts = []
    for kind in KINDS:
        pairs = ", ".join(f"({op!r}, {source})" for pair in cells[kind] for op, source in pair)
        parts.append(f"{kind}=[{pairs}], {kind}_concat=range(2, 6)")
    return f"Genotype({', '.join(parts)})"


def write_pair(pair: Sequence[int]) -> str:
    """The option of a pair of inputs: ``0+2``."""
    return "+".join(map(str, pair))


def read_pair(option: Option) -> tuple[int, int]:
    """The pair of inputs that an option stands for."""
    first, second = str(option).split("+")
    return int(first), int(second)


def _read_names(text: str) -> Cells | None:
    text = text.strip()
    found = {kind: _PAIR.findall(match[1]) for kind in KINDS if (match := _CELL[kind].search(text))}
    concat = {kind for kind, _ in _CONCAT.findall(text)}
    left = text
    for pattern in (*_CELL.values(), _CONCAT):
        left = pattern.sub("", left)
    whole = re.fullmatch(r"(Genotype)?\(?[\s,]*\)?", left) is not None
    if not whole or concat != set(KINDS) or any(len(found.get(k, ())) != 8 for k in KINDS):
        return None
    if any(
        len(re.sub(r"[\s,]", "", _PAIR.sub("", match[1])))
        for kind in KINDS
        if (match := _CELL[kind].search(text))
    ):
        return None
    return {kind: _by_node([(op, int(s)) for op, s in pairs]) for kind, pairs in found.items()}


def _read_numbers(text: str) -> Cells | None:
    pairs = [(int(source), int(number)) for source, number in _NUMBERS.findall(text)]
    if len(pairs) != 16 or re.sub(r"[\s,\[\]]", "", _NUMBERS.sub("", text)):
        return None
    if any(number >= len(OPERATIONS) for _, number in pairs):
        return None
    edges = [(OPERATIONS[number], source) for source, number in pairs]
    return {"normal": _by_node(edges[:8]), "reduce": _by_node(edges[8:])}


def _by_node(edges: Sequence[DartsEdge]) -> tuple[tuple[DartsEdge, DartsEdge], ...]:
    return tuple((edges[i], edges[i + 1]) for i in range(0, len(edges), 2))


def _depth(pairs: Sequence[tuple[DartsEdge, DartsEdge]]) -> int:
    """Nodes on the longest way through a cell."""
    depth = [0] * INPUTS
    for pair in pairs:
        depth.append(1 + max(depth[source] for _, source in pair))
    return max(depth)
