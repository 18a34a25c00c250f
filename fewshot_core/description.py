"""What recipes and reports know of a task. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewshot_core.errors import RecipeError
from fewshot_core.metrics import CLASSIFICATION, Metric

SUPERNET = "supernet_"
"""How the name of a size begins that supernets have in place of the size without it."""


@dataclass(frozen=True)
class Description:
    """What recipes and reports have to know of a task. No torch.

    Attributes:
        sections: Dataclasses of the task's own sections of a recipe, by name; ``network`` is one.
        metrics: What the task's scorer may measure. Retrained networks are compared by the first.
        scoring: Names of sections that say how networks are scored; no supernet depends on them.
    """

    sections: Mapping[str, type]
    metrics: tuple[Metric, ...] = CLASSIFICATION
    scoring: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric:
        """The metric that retrained networks are compared by."""
        return self.metrics[0]

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the metrics that ``evaluator.score`` may name."""
        return tuple(metric.name for metric in self.metrics if metric.score)

    def find_metric(self, name: str) -> Metric:
        """The metric of that name.

        Raises:
            RecipeError: The task measures nothing of that name.
        """
        known = {metric.name: metric for metric in self.metrics}
        if name not in known:
            raise RecipeError(f"the task has no metric {name!r}", allowed=", ".join(known))
        return known[name]


def as_supernet(section: Any) -> Any:
    """A section of a recipe as a supernet reads it: ``supernet_NAME`` stands in for ``NAME``.

    A supernet may be of another size than the networks that are trained from scratch. A section
    says so with a second field for each size that may differ; None means no difference.

    Args:
        section: A dataclass; it is left as it is.
    """
    own = {name: getattr(section, f"{SUPERNET}{name}") for name in supernet_sizes(type(section))}
    return dataclasses.replace(section, **{n: v for n, v in own.items() if v is not None})


def supernet_sizes(section: type) -> list[str]:
    """Names of the fields of a section for which another field says what a supernet has."""
    names = [field.name for field in dataclasses.fields(section)]
    return [name for name in names if f"{SUPERNET}{name}" in names]
