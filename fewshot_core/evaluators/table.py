"""Scores from a benchmark table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fewshot_core.errors import DataError
from fewshot_core.evaluators.base import NAME, EvaluatorContext
from fewshot_core.evaluators.words import Told, Words
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.places import absolute
from fewshot_core.recipe.schema import EvaluatorSettings
from fewshot_core.recipe.words import check_path
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture, SearchSpace
from fewshot_core.trust.values import read_values


@dataclass(frozen=True)
class TableSettings(EvaluatorSettings):
    """Scores of a benchmark table."""

    name: str = setting("table", NAME)
    table: str | None = setting(
        None,
        "a CSV with a column `architecture` (or `arch`)",
        place=absolute,
        changes_results=False,
    )
    column: str = setting("score", "the column of the table that has the scores")

    def check(self, key: str) -> Iterator[str]:
        """A line where there is no table, or no path to it."""
        yield from check_path(f"{key}.table", self.table)
        if not self.table:
            yield f"{key}.name={self.name} needs {key}.table, a CSV file"


class TableWords(Words):
    """Scores of a benchmark table."""

    audited: ClassVar[bool] = False  # the table is the truth

    def label(self, settings: TableSettings, told: Told) -> str:
        return f"{settings.column} in {Path(str(settings.table)).name}"

    def meaning(self, settings: TableSettings, told: Told) -> str:
        return f"column {settings.column} of {settings.table}"

    def method(self, told: Told) -> str:
        return "neural architecture search in a table of scores"


@register(
    "evaluator",
    "table",
    settings=TableSettings,
    about="looks architectures up in a table of scores",
    words=TableWords(),
)
def make_table(settings: TableSettings, context: EvaluatorContext) -> TabularEvaluator:
    """An evaluator that looks up."""
    return TabularEvaluator(context.root.space, Path(str(settings.table)), settings.column)


class TabularEvaluator:
    """Looks architectures up in a CSV with an architecture column and a score column.

    Raises:
        DataError: The table cannot be read, or (on evaluation) lacks an architecture.
        ArchitectureError: A row is no architecture of the space.
    """

    def __init__(self, space: SearchSpace, path: Path, column: str) -> None:
        self.path = path
        self._space = space
        self._scores, self._folded = read_values(space, path, column)

    def _find(self, architecture: Architecture) -> float | None:
        if self._folded:  # such a table has networks, each once
            architecture = self._space.canonical(architecture)
        return self._scores.get(architecture)

    def require(self, region: Region, accepts: Callable[[Architecture], bool]) -> None:
        """Raise unless the table has a row for all that is accepted in a region, if it is small.

        Raises:
            DataError: How many it lacks, and one of them.
        """
        if region.box_size() > ENUMERABLE:
            return
        wanted = [architecture for architecture in region.enumerate() if accepts(architecture)]
        missing = [a for a in wanted if self._find(a) is None]
        if missing:
            raise DataError(
                f"{self.path} has no row for {len(missing):,} of the {len(wanted):,} architectures "
                "that the search may ask for",
                found=f"nothing for {self._space.genotype(missing[0])}",
                fix="add them, or search a smaller space",
            )

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        score = self._find(architecture)
        if score is None:
            raise DataError(
                f"{self.path} has no row for architecture {self._space.genotype(architecture)}",
                fix="add it, or search a smaller space",
            )
        return {"score": score}
