"""The spaces of NAS-Bench-1Shot1 (Zela et al., ICLR 2020), and NAS-Bench-101's text and hash.

A cell is a graph of an input, inner nodes and an output. Every inner node has one operation, and as
many parents among the input and the earlier nodes as its space says. NAS-Bench-101 (Ying et al.,
ICML 2019) writes a cell as an adjacency matrix and a list of operations; so does a genotype here::

    0111000-0001000-...;input,conv3x3-bn-relu,...,output

with the rows of the matrix joined by ``-``. The JSON of the benchmark's module specification is
read as well.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fewshot_core.errors import ArchitectureError
from fewshot_core.spaces.space import Architecture, Decision, Feature, Option, SearchSpace

OPERATIONS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
INPUT, OUTPUT = "input", "output"

LABELS = {INPUT: -1, OUTPUT: -2, "conv3x3-bn-relu": 0, "conv1x1-bn-relu": 1, "maxpool3x3": 2}
"""What NAS-Bench-101 hashes in place of the names."""

PARENTS = {
    "nasbench1shot1_1": (1, 2, 2, 2, 2),
    "nasbench1shot1_2": (1, 1, 2, 2, 3),
    "nasbench1shot1_3": (1, 1, 1, 2, 2, 2),
}
"""Parents of the inner nodes in order, and of the output."""

VERTICES = 7
"""Of a matrix of NAS-Bench-101; one that nothing reaches stands before the output."""

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class GraphCell:
    """A cell as a graph: vertex 0 is the input, the last one the output.

    Attributes:
        operations: Of the inner vertices.
        parents: Of the inner vertices and of the output, each in ascending order.
    """

    operations: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]

    @property
    def output(self) -> int:
        """The number of the output."""
        return len(self.parents)

    def live(self) -> tuple[int, ...]:
        """The inner vertices from which the output is reached; every one is reached itself."""
        found, left = set[int](), list(self.parents[-1])
        while left:
            vertex = left.pop()
            if vertex and vertex not in found:
                found.add(vertex)
                left += self.parents[vertex - 1]
        return tuple(sorted(found))

    def pruned(self) -> GraphCell:
        """The cell without the vertices that do not reach the output."""
        live = self.live()
        number = {0: 0} | {vertex: place for place, vertex in enumerate(live, start=1)}
        kept = [*(self.parents[vertex - 1] for vertex in live), self.parents[-1]]
        return GraphCell(
            tuple(self.operations[vertex - 1] for vertex in live),
            tuple(tuple(number[parent] for parent in parents) for parents in kept),
        )

    def hash(self) -> str:
        """NAS-Bench-101's hash of the pruned cell: equal for equal networks (its section 2.2)."""
        cell = self.pruned()
        into = [(), *cell.parents]
        out = [[t for t, parents in enumerate(into) if s in parents] for s in range(len(into))]
        labels = [LABELS[name] for name in (INPUT, *cell.operations, OUTPUT)]
        hashes = [_md5(str((len(out[v]), len(into[v]), label))) for v, label in enumerate(labels)]
        for _ in labels:
            hashes = [
                _md5(
                    "".join(sorted(hashes[w] for w in into[v]))
                    + "|"
                    + "".join(sorted(hashes[w] for w in out[v]))
                    + "|"
                    + hashes[v]
                )
                for v in range(len(labels))
            ]
        return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class GraphSpace(SearchSpace):
    """Cells whose nodes have so many parents each.

    Attributes:
        numbers: Parents of the inner nodes in order, and of the output.
    """

    numbers: tuple[int, ...] = ()

    @property
    def inner(self) -> int:
        """Number of inner nodes."""
        return len(self.numbers) - 1

    @cached_property
    def _places(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each inner node and the output, all sets of parents it may have."""
        return parent_sets(self.numbers)

    def parents_of(self, node: int) -> tuple[tuple[int, ...], ...]:
        """All sets of parents of a node, or of the output, which is the one after the last."""
        return self._places[node - 1]

    def cell(self, architecture: Architecture) -> GraphCell:
        """The architecture as a graph, with what does not reach the output."""
        chosen = self.choices(architecture)
        parents = (
            read_parents(chosen[name])
            if (name := inputs_name(node, self.inner)) in chosen
            else only[0]
            for node, only in enumerate(self._places, start=1)
        )
        operations = (str(chosen[operation_of(node)]) for node in range(1, self.inner + 1))
        return GraphCell(tuple(operations), tuple(parents))

    def of_cell(self, cell: GraphCell) -> Architecture:
        """The architecture of a graph with all its nodes.

        Raises:
            ArchitectureError: The space has no such cell.
        """
        if len(cell.parents) != len(self.numbers) or any(
            parents not in allowed
            for parents, allowed in zip(cell.parents, self._places, strict=True)
        ):
            raise ArchitectureError(
                f"not a cell of space {self.name!r}",
                found=f"parents {[list(parents) for parents in cell.parents]}",
                allowed=f"{', '.join(map(str, self.numbers))} parents of the nodes and the output",
            )
        chosen: dict[str, Option] = {
            operation_of(node): operation for node, operation in enumerate(cell.operations, start=1)
        }
        for node, (parents, allowed) in enumerate(
            zip(cell.parents, self._places, strict=True), start=1
        ):
            if len(allowed) > 1:
                chosen[inputs_name(node, self.inner)] = _write_parents(parents)
        return self.architecture(chosen)

    # -- text ------------------------------------------------------------------------------------

    def matrix(self, architecture: Architecture) -> tuple[Matrix, tuple[str, ...]]:
        """NAS-Bench-101's adjacency matrix ``[7, 7]``, upper triangular, and its operations.

        Where a space has fewer nodes, a vertex that nothing reaches stands before the output.
        """
        cell = self.cell(architecture)
        idle = VERTICES - self.inner - 2
        into = [(), *cell.parents[:-1], *[()] * idle, cell.parents[-1]]
        rows = tuple(tuple(int(s in parents) for parents in into) for s in range(VERTICES))
        operations = (INPUT, *cell.operations, *[OPERATIONS[0]] * idle, OUTPUT)
        return rows, operations

    def of_matrix(self, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> Architecture:
        """Read a matrix with all nodes of the space, in their order.

        Args:
            matrix: ``[n, n]``, upper triangular; a vertex without edges is left out.
            operations: Of the n vertices, the input and the output among them.

        Raises:
            ArchitectureError: The space has no such cell.
        """
        size = len(matrix)
        square = all(len(row) == size for row in matrix)
        if not square or len(operations) != size or size < 2 or not _triangular(matrix):
            raise ArchitectureError(
                "not a cell of NAS-Bench-101",
                found=str([list(row) for row in matrix])[:120],
                allowed="an upper triangular matrix of 0 and 1 and an operation for each row",
            )
        into = [[s for s in range(t) if matrix[s][t]] for t in range(size)]
        kept = [v for v in range(size) if v in (0, size - 1) or into[v] or any(matrix[v])]
        number = {vertex: place for place, vertex in enumerate(kept)}
        names = [operations[vertex] for vertex in kept]
        if names[0] != INPUT or names[-1] != OUTPUT:
            raise ArchitectureError(
                "a cell of NAS-Bench-101 begins with the input and ends with the output",
                found=", ".join(map(str, operations))[:120],
            )
        parents = (tuple(number[parent] for parent in into[vertex]) for vertex in kept[1:])
        return self.of_cell(GraphCell(tuple(names[1:-1]), tuple(parents)))

    def genotype(self, architecture: Architecture) -> str:
        matrix, operations = self.matrix(architecture)
        rows = "-".join("".join(map(str, row)) for row in matrix)
        return f"{rows};{','.join(operations)}"

    def parse(self, genotype: str) -> Architecture:
        """Read a genotype, or the JSON of a module specification.

        Raises:
            ArchitectureError: The text is neither, or the space has no such cell.
        """
        text = genotype.strip() if isinstance(genotype, str) else ""
        if text.startswith("{"):
            return self.of_matrix(*_read_specification(text))
        rows, _, operations = text.partition(";")
        if not operations or not set(rows) <= set("01-"):
            raise ArchitectureError(
                f"not a cell of space {self.name!r}",
                found=str(genotype)[:120],
                allowed=f"like {self.genotype(next(self.enumerate()))}",
            )
        matrix = [[int(digit) for digit in row] for row in rows.split("-")]
        return self.of_matrix(matrix, [name.strip() for name in operations.split(",")])

    # -- equal networks --------------------------------------------------------------------------

    def hash(self, architecture: Architecture) -> str:
        """NAS-Bench-101's hash of the network."""
        return self.cell(architecture).hash()

    def hashes(self) -> Mapping[str, Architecture]:
        """Representatives by NAS-Bench-101's hashes; the largest space takes a minute or two."""
        return self._by_hash

    @cached_property
    def _by_hash(self) -> dict[str, Architecture]:
        found: dict[str, Architecture] = {}
        known: dict[GraphCell, str] = {}
        for architecture in self.enumerate():  # in the order in which representatives are first
            cell = self.cell(architecture).pruned()
            if cell not in known:
                known[cell] = cell.hash()
                found.setdefault(known[cell], architecture)
        return found

    def canonical(self, architecture: Architecture) -> Architecture:
        """The first in the space of all architectures whose pruned graphs are the same.

        Nodes may be numbered in another order, and those that do not reach the output may be
        anything.
        """
        cell = self.cell(architecture).pruned()
        if cell not in self._first:
            self._first[cell] = min(self._renumbered(cell), key=self.encode)
        return self._first[cell]

    @cached_property
    def _first(self) -> dict[GraphCell, Architecture]:
        """Representatives that were asked for: a search asks for the same ones again and again."""
        return {}

    def _renumbered(self, cell: GraphCell) -> Iterator[Architecture]:
        """All architectures with the graph, and first choices for what is not a part of it."""
        live = cell.live()
        for places in itertools.permutations(range(1, self.inner + 1), len(live)):
            number = dict(zip(live, places, strict=True)) | {0: 0}
            parents = [options[0] for options in self._places]
            operations = [OPERATIONS[0]] * self.inner
            for vertex, place in zip(live, places, strict=True):
                parents[place - 1] = tuple(sorted(number[p] for p in cell.parents[vertex - 1]))
                operations[place - 1] = cell.operations[vertex - 1]
            parents[-1] = tuple(sorted(number[p] for p in cell.parents[-1]))
            if all(p in allowed for p, allowed in zip(parents, self._places, strict=True)):
                yield self.of_cell(GraphCell(tuple(operations), tuple(parents)))

    def plain(self, architecture: Architecture) -> Architecture:
        """The same nodes, with first choices for those that do not reach the output."""
        cell = self.cell(architecture)
        idle = set(range(1, self.inner + 1)) - set(cell.live())
        return self.of_cell(
            GraphCell(
                tuple(
                    OPERATIONS[0] if node in idle else name
                    for node, name in enumerate(cell.operations, start=1)
                ),
                tuple(
                    self._places[node - 1][0] if node in idle else parents
                    for node, parents in enumerate(cell.parents, start=1)
                ),
            )
        )

    def parts(self, architecture: Architecture) -> list[tuple[str, Option]]:
        """Operations of the nodes that reach the output, and who reads the input of the cell."""
        cell = self.cell(architecture)
        found: list[tuple[str, Option]] = []
        for node in cell.live():
            found.append((operation_of(node), cell.operations[node - 1]))
            if 0 in cell.parents[node - 1]:
                found.append((inputs_name(node, self.inner), INPUT))
        if 0 in cell.parents[-1]:
            found.append((inputs_name(self.inner + 1, self.inner), INPUT))
        return found

    # -- features --------------------------------------------------------------------------------

    def features(self) -> Mapping[str, Feature]:
        def count(*operations: str) -> Feature:
            def feature(architecture: Architecture) -> float:
                cell = self.cell(architecture)
                return float(sum(cell.operations[node - 1] in operations for node in cell.live()))

            return feature

        return {
            "connected_convolutions": count("conv1x1-bn-relu", "conv3x3-bn-relu"),
            "connected_3x3": count("conv3x3-bn-relu"),
            "connected_nodes": count(*OPERATIONS),
            "depth": lambda a: float(_depth(self.cell(a))),
        }


def operation_of(node: int) -> str:
    """Name of the decision for an inner node's operation, counted from 1."""
    return f"node{node}_operation"


def inputs_name(node: int, inner: int) -> str:
    """Name of the decision for the parents of a node, or of the output, behind ``inner`` nodes."""
    return f"{f'node{node}' if node <= inner else OUTPUT}_inputs"


def parent_sets(numbers: Sequence[int]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """All sets of parents of each inner node and of the output, by how many each has."""
    return tuple(
        tuple(itertools.combinations(range(node), count))
        for node, count in enumerate(numbers, start=1)
    )


def nasbench1shot1(name: str) -> GraphSpace:
    """One of the three spaces by its name, as in :data:`PARENTS`."""
    numbers = PARENTS[name]
    inner = len(numbers) - 1
    decisions = []
    for node, sets in enumerate(parent_sets(numbers), start=1):
        if len(sets) > 1:
            options = tuple(_write_parents(parents) for parents in sets)
            decisions.append(Decision(inputs_name(node, inner), options))
        if node <= inner:
            decisions.append(Decision(operation_of(node), OPERATIONS))
    return GraphSpace(name, tuple(decisions), numbers)


def _write_parents(parents: Sequence[int]) -> str:
    return "+".join(map(str, parents))


def read_parents(option: Option) -> tuple[int, ...]:
    """The parents that an option stands for."""
    return tuple(int(number) for number in str(option).split("+"))


def _depth(cell: GraphCell) -> int:
    """Nodes on the longest way from the input to the output."""
    depth = [0]
    for parents in cell.parents[:-1]:
        depth.append(1 + max(depth[parent] for parent in parents))
    return max(depth[parent] for parent in cell.parents[-1])


def _triangular(matrix: Sequence[Sequence[int]]) -> bool:
    return all(
        entry in (0, 1) and (target > source or not entry)
        for source, row in enumerate(matrix)
        for target, entry in enumerate(row)
    )


def _read_specification(text: str) -> tuple[list[list[int]], list[str]]:
    try:
        value = json.loads(text)
        matrix, operations = value["module_adjacency"], value["module_operations"]
        return [[int(entry) for entry in row] for row in matrix], [str(name) for name in operations]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ArchitectureError(
            "not a module specification of NAS-Bench-101",
            found=text[:120],
            allowed='{"module_adjacency": [[...], ...], "module_operations": [...]}',
        ) from None
