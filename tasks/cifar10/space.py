"""The cell space of NAS-Bench-201 (Dong and Yang, ICLR 2020): 4 nodes, 6 edges, 5 operations.

Its genotype is the benchmark's text: node by node, each edge as ``operation~source``, for example
``|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fewshot_core.errors import ArchitectureError, nearest
from fewshot_core.spaces.space import Architecture, Decision, Feature, SearchSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONLINEAR = ("nor_conv_1x1", "nor_conv_3x3")

_EDGE = re.compile(r"([A-Za-z0-9_]+)~([0-9]+)")


def edge_name(target: int, source: int) -> str:
    """Name of the decision for the edge from node ``source`` to node ``target``."""
    return f"edge_{target}_{source}"


@dataclass(frozen=True)
class CellSpace(SearchSpace):
    """Cells whose every pair of nodes is joined by one operation; node 0 is the input."""

    nodes: int = field(default=4)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The edges as (target, source), in the order of the decisions."""
        return tuple((t, s) for t in range(1, self.nodes) for s in range(t))

    def cell(self, architecture: Architecture) -> tuple[tuple[int, int, str], ...]:
        """The edges with their operations as (target, source, operation), ``none`` included."""
        pairs = zip(self.edges, architecture.choices, strict=True)
        return tuple((target, source, str(operation)) for (target, source), operation in pairs)

    # -- text ------------------------------------------------------------------------------

    def genotype(self, architecture: Architecture) -> str:
        groups: list[list[str]] = [[] for _ in range(1, self.nodes)]
        for (target, source), operation in zip(self.edges, architecture.choices, strict=True):
            groups[target - 1].append(f"{operation}~{source}")
        return "+".join(f"|{'|'.join(group)}|" for group in groups)

    def parse(self, genotype: str) -> Architecture:
        """Read the benchmark's text.

        Raises:
            ArchitectureError: The text is not of this form, or names an unknown operation.
        """
        choices: list[str] = []
        groups = genotype.strip().split("+") if isinstance(genotype, str) else []
        form = self.genotype(Architecture(self.name, ("none",) * len(self.edges)))
        if len(groups) != self.nodes - 1:
            raise ArchitectureError("not a cell", found=str(genotype)[:120], allowed=f"like {form}")
        for target, group in enumerate(groups, start=1):
            cells = group[1:-1].split("|") if group[:1] == group[-1:] == "|" else []
            matches = [_EDGE.fullmatch(cell) for cell in cells]
            if len(cells) != target or any(
                m is None or m[2] != str(s) for s, m in enumerate(matches)
            ):
                raise ArchitectureError(
                    f"node {target} of a cell is malformed", found=group[:120], allowed=f"in {form}"
                )
            choices += [m[1] for m in matches if m is not None]
        for operation in choices:
            if operation not in OPERATIONS:
                raise ArchitectureError(
                    f"unknown operation {operation!r} in {genotype.strip()[:120]}",
                    allowed=", ".join(OPERATIONS),
                    fix=nearest(operation, OPERATIONS) or None,
                )
        return Architecture(self.name, tuple(choices))

    # -- equal networks ----------------------------------------------------------------------

    def connected(self, architecture: Architecture) -> Architecture | None:
        """The same cell with ``none`` on every edge that lies on no path from input to output."""
        choices = architecture.choices
        arrows = [edge for edge, op in zip(self.edges, choices, strict=True) if op != "none"]
        reached, reaching = {0}, {self.nodes - 1}
        for target, source in arrows:  # sorted by their target: all that leads to a source is known
            if source in reached:
                reached.add(target)
        for target, source in reversed(arrows):
            if target in reaching:
                reaching.add(source)
        live = {(t, s) for t, s in arrows if s in reached and t in reaching}
        if not live:
            return None
        if len(live) == len(arrows):
            return architecture
        kept = zip(self.edges, choices, strict=True)
        return Architecture(self.name, tuple(op if edge in live else "none" for edge, op in kept))

    def canonical(self, architecture: Architecture) -> Architecture:
        """The representative of the cells that NAS-Bench-201 counts as one network.

        The benchmark's own rule (its section 2.1; 6,466 classes): a cell is written as the sum
        that reaches the output, where a skip stands for its source and an edge that carries zeros
        for zero. Two properties are inherited from it: a cell whose skip repeats a convolution's
        output is counted with one that has the convolution twice, and a node that is only fed by
        zeros stays distinguishable. The representative is the member with the fewest operations.
        """
        return self._representatives[self._class_text(architecture)]

    @cached_property
    def _representatives(self) -> dict[str, Architecture]:
        best: dict[str, tuple[tuple[int, int], Architecture]] = {}
        for member in self.enumerate():
            text = self._class_text(member)
            size = (
                sum(operation in NONLINEAR for operation in member.choices),
                sum(operation != "none" for operation in member.choices),
            )
            if text not in best or size < best[text][0]:
                best[text] = (size, member)
        return {text: member for text, (_, member) in best.items()}

    def _class_text(self, architecture: Architecture) -> str:
        terms: list[list[str]] = [[] for _ in range(self.nodes)]
        texts = ["0"]
        for (target, source), operation in zip(self.edges, architecture.choices, strict=True):
            if operation == "none" or texts[source] == "#":
                terms[target].append("#")
            elif operation == "skip_connect":
                terms[target].append(texts[source])
            else:
                terms[target].append(f"({texts[source]})@{operation}")
            if source == target - 1:
                texts.append("+".join(sorted(terms[target])))
        return texts[-1]

    # -- features ----------------------------------------------------------------------------

    def features(self) -> Mapping[str, Feature]:
        return {
            "nonlinear": lambda a: _count(a, NONLINEAR),
            "connected_nonlinear": lambda a: _count(self.connected(a), NONLINEAR),
            "skips": lambda a: _count(a, ("skip_connect",)),
            "edges": lambda a: _count(a, OPERATIONS[1:]),
            "connected_edges": lambda a: _count(self.connected(a), OPERATIONS[1:]),
        }


def nasbench201() -> CellSpace:
    """The NAS-Bench-201 space, 15,625 cells."""
    decisions = tuple(Decision(edge_name(t, s), OPERATIONS) for t in range(1, 4) for s in range(t))
    return CellSpace("nasbench201", decisions, nodes=4)


def _count(architecture: Architecture | None, operations: tuple[str, ...]) -> float:
    if architecture is None:
        return 0.0
    return float(sum(operation in operations for operation in architecture.choices))
