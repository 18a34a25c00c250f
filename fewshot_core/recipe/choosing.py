"""Sections of a recipe about trainings from scratch that belong to a search: ladder and audit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fewshot_core.recipe.declare import setting


@dataclass(frozen=True)
class LadderSettings:
    """Trainings from scratch, of many networks shortly and of fewer longer: the last choice."""

    networks: int = setting(
        0, "trained on the first rung, those of the best scores. 0: the best score is found", low=0
    )
    epochs: float = setting(
        60.0,
        "Passes over the training images of all rungs together, other settings of `retrain`. Each "
        "rung has the same share, which its networks divide.",
        above=0,
    )
    rungs: int = setting(3, "how many rungs", low=1, high=10)
    keep: float = setting(
        0.25, "share of a rung's networks that the next one has", above=0, below=1
    )
    judge: str = setting(
        "loss",
        "loss | metric: what networks are compared by, on all validation images. By loss short "
        "trainings hand over better cells (docs/results/deploy.md). Of a task without a loss it is "
        "the metric.",
        choices=("loss", "metric"),
    )
    prior: float = setting(
        0.0,
        "Networks climb by the sum of their ranks: by results, and with this weight each by cost, "
        "the more expensive first, and by the search's score. 0: by results alone.",
        low=0,
        high=10,
    )
    pool: int | None = setting(
        None,
        "The networks of the first rung are taken at even distances from so many of the best "
        "scores; none: they are the best. More of them trust the scores less.",
        low=1,
    )
    proposals: float = setting(
        0.25,
        "Share of the networks of further rungs that a model of the results so far proposes. It "
        "proposes nothing where it cannot order results that it has not seen.",
        low=0,
        below=1,
    )

    def check(self, key: str) -> Iterator[str]:
        """A line for each combination that cannot be."""
        if self.networks == 1:
            yield f"{key}.networks=1 must be 0 (no ladder) or at least 2"
        if self.networks and self.pool is not None and self.pool < self.networks:
            yield (
                f"{key}.pool={self.pool} is less than {key}.networks={self.networks}, which are "
                "taken from it"
            )


@dataclass(frozen=True)
class AuditSettings:
    """Standalone trainings that show whether the supernet's scores can be trusted."""

    networks: int = setting(0, "trained; fewer than 8 show nothing. 0: no audit")
    epochs: float = setting(
        5.0, "passes over the training images, other settings of `retrain`", above=0
    )
    candidates: int = setting(
        100,
        "Random architectures scored beside the search's, whose trials at one cost are few. With "
        "evaluator=standalone there are none, because each would be one more training.",
        low=0,
    )

    def check(self, key: str) -> Iterator[str]:
        """A line where the audit could show nothing at all."""
        if self.networks < 0 or self.networks in (1, 2):
            yield f"{key}.networks={self.networks} must be 0 (no audit) or at least 3"
