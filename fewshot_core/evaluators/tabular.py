"""Scores from a benchmark table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from fewshot_core.errors import ArchitectureError, DataError
from fewshot_core.spaces.space import Architecture, SearchSpace, read_architectures
from fewshot_core.trust.scores import read_table


class TabularEvaluator:
    """Looks architectures up in a CSV with an architecture column and a score column.

    Raises:
        DataError: The table cannot be read, or (on evaluation) lacks an architecture.
        ArchitectureError: A row is no architecture of the space.
    """

    def __init__(self, space: SearchSpace, path: Path, column: str) -> None:
        self.path = path
        self._space = space
        table = read_table(path, column)
        try:
            architectures = read_architectures(space, list(table))
        except ArchitectureError as error:
            raise ArchitectureError(f"score table {path}, {error}") from None
        self._scores = dict(zip(architectures, table.values(), strict=True))

    def require(self, architectures: Iterable[Architecture]) -> None:
        """Raise unless the table has a row for each of them.

        Raises:
            DataError: How many it lacks, and one of them.
        """
        wanted = list(architectures)
        missing = [a for a in wanted if a not in self._scores]
        if missing:
            raise DataError(
                f"{self.path} has no row for {len(missing):,} of the {len(wanted):,} architectures "
                "that the search may ask for",
                found=f"nothing for {self._space.genotype(missing[0])}",
                fix="add them, or search a smaller space",
            )

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        if architecture not in self._scores:
            raise DataError(
                f"{self.path} has no row for architecture {self._space.genotype(architecture)}",
                fix="add it, or search a smaller space",
            )
        return {"score": self._scores[architecture]}
