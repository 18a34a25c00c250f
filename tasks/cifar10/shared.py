"""Results that cells have in common: the stem, and operations of the first cell.

The first cell of the network reads the same input whatever the architecture, so the output of one
of its operations depends on the edges before it and nothing else. In a fitting order of the cells,
nearly all of these outputs have been computed for an earlier one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor

from tasks.cifar10.network import Edge

Key = tuple[object, ...]

CAPACITY = 40
"""Results kept, each for every batch. In the order of the edges a cell needs at most 25 of those
before it: the stem, 12 operations on the input, and 4 for each of the three edges behind."""


class SharedResults:
    """Outputs by what they depend on, one tensor per batch.

    A result counts as known when it is there for every batch, which it is after an architecture
    has seen them all: the statistics that recalibration measured for it are then part of the
    outputs. Nothing is dropped while an architecture runs: a batch must not find that an operation
    was known for the batches before it, but has to be computed with statistics nobody measured.
    """

    def __init__(self, batches: Sequence[Tensor]) -> None:
        self._batches = list(batches)  # kept alive, so that ids stay theirs
        self._numbers = {id(batch): number for number, batch in enumerate(self._batches)}
        self._results: OrderedDict[Key, list[Tensor | None]] = OrderedDict()
        self._plan: list[Edge] | None = None
        self._number = 0
        self._inputs: dict[int, Key] = {}

    def begin(self, plan: list[Edge], batch: Tensor) -> bool:
        """Start on a batch; false where the batch is none of those this object is about."""
        if id(batch) not in self._numbers:
            return False
        if plan != self._plan:
            self._plan = plan
            while len(self._results) > CAPACITY:
                self._results.popitem(last=False)
        self._number = self._numbers[id(batch)]
        self._inputs = _node_keys(plan)
        return True

    def stem(self, compute: Callable[[], Tensor]) -> Tensor:
        """The output of the stem."""
        return self._get(("stem",), compute)

    def operation(self, edge: Edge, compute: Callable[[], Tensor]) -> Tensor:
        """The output of an operation of the first cell."""
        if edge[2] == "skip_connect":
            return compute()
        return self._get((edge, self._inputs[edge[1]]), compute)

    def _get(self, key: Key, compute: Callable[[], Tensor]) -> Tensor:
        values = self._results.setdefault(key, [None] * len(self._batches))
        self._results.move_to_end(key)
        value = values[self._number]
        if value is None or any(other is None for other in values):
            value = values[self._number] = compute()
        return value


def _node_keys(plan: list[Edge]) -> dict[int, Key]:
    """For every node, all that its value depends on."""
    keys: dict[int, Key] = {0: ()}
    for edge in plan:
        keys[edge[0]] = (*keys.get(edge[0], ()), (edge, keys[edge[1]]))
    return keys
