"""Values of architectures from published tables."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from fewshot_core.errors import ArchitectureError, DataError
from fewshot_core.spaces.space import Architecture, SearchSpace, read_architectures
from fewshot_core.trust.scores import ARCHITECTURE_COLUMNS, read_keyed

HASH = "hash"
"""The column of a table that knows networks by a hash and has no genotypes."""


class Values(NamedTuple):
    """What a table says.

    Attributes:
        of: The values.
        folded: Whether they are of networks, each under its representative.
    """

    of: dict[Architecture, float]
    folded: bool


def read_values(
    space: SearchSpace, path: Path, column: str, *, only: Collection[str] | None = None
) -> Values:
    """Read a column of a table whose rows are architectures of a space.

    A table of a larger space may name its networks by a hash. Rows that are none of this space are
    then left out; of equal architectures the representative has the value.

    Args:
        space: What the architectures belong to.
        path: A CSV file with a column of genotypes, or a column ``hash``.
        column: The column of values.
        only: Genotypes or hashes, as the file writes them, to keep.

    Raises:
        DataError: The file cannot be read, or no row is of the space.
        ArchitectureError: A genotype is none of the space.
    """
    key, rows = read_keyed(path, column, (*ARCHITECTURE_COLUMNS, HASH))
    if only is not None:
        rows = {text: value for text, value in rows.items() if text in only}
    if key == HASH:
        known = space.hashes()
        found = {known[text]: value for text, value in rows.items() if text in known}
        if not found:
            raise DataError(
                f"no row of {path} is a network of space {space.name!r}",
                found=f"{len(rows):,} hashes" if known else "a space without hashes",
                allowed="a table with a column `architecture`, or the hashes of this space",
            )
        return Values(found, folded=True)
    try:
        architectures = read_architectures(space, list(rows))
    except ArchitectureError as error:
        raise ArchitectureError(f"score table {path}, {error}") from None
    return Values(dict(zip(architectures, rows.values(), strict=True)), folded=False)
