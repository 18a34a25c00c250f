"""Arms and sizes of the study of differentiable strategies.

An arm is a method, and what it spends its images on.

All arms see the same number of images, those of the weights and those of the preferences together,
and score as many cells in the end where they score several. Few-shot, five regions divide the
images, each a search of its own, as in the original (Zhao et al., ICML 2021, section 4.1); with a
parent, that gets half of them, and the regions start from its weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.studies.ranking.arms import EDGE
from benchmarks.studies.ranking.arms import Arm as Budget

SCORED = 50
"""Cells that ENAS, SETN and random search score; regions share them."""

SHOTS = {
    "one-shot": Budget("", "balanced"),
    "few-shot": Budget("", "balanced", 5, EDGE, inherit=False),
    "few-shot, with a parent": Budget("", "balanced", 5, EDGE),
}
"""How the images are spent."""


@dataclass(frozen=True)
class Method:
    """A strategy.

    Attributes:
        name: For tables.
        words: Its settings.
        scores_many: Whether the number of cells that it scores is a setting.
        stage: The part of the study that it belongs to.
    """

    name: str
    words: tuple[str, ...]
    scores_many: bool = False
    stage: str = "main"


METHODS = (
    Method("DARTS", ("strategy=darts",)),
    # With 8 channels 2 of them make operations as wide as with 16 channels and 4, which is its own.
    Method("PC-DARTS", ("strategy=pcdarts", "preferences.partial=2")),
    Method("ENAS", ("strategy=enas",), scores_many=True),
    Method("SETN", ("strategy=setn",), scores_many=True),
    # No preferences: a supernet of paths, and cells drawn at random.
    Method("random search", ("strategy=random",), scores_many=True),
    Method("DARTS, 2nd order", ("strategy=darts", "preferences.order=2"), stage="second"),
)
STAGES = ("main", "second")


@dataclass(frozen=True)
class Arm:
    """A method that spends its images in one way."""

    method: Method
    shots: str

    def words(self, epochs: float, scored: int) -> list[str]:
        """The settings for ``epochs`` passes over the training images and ``scored`` cells."""
        budget = SHOTS[self.shots]
        words = [*self.method.words, *budget.words(epochs)]
        if self.method.name == "random search":
            return [*words, f"search.trials={scored}"]
        if self.method.scores_many:
            words += [f"preferences.samples={scored // max(1, budget.regions)}"]
        return words


ARMS = tuple(Arm(method, shots) for method in METHODS for shots in SHOTS)


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        epochs: The budget, in passes over the training images.
        seeds: Seeds of each arm.
        scored: Cells that a method scores in the end where it scores several.
        words: Settings of every recipe.
    """

    epochs: float
    seeds: int
    scored: int
    words: tuple[str, ...]


NETWORK = ("network.channels=8", "network.cells_per_stage=1", "threads=1")
FULL = Size(
    epochs=6,
    seeds=3,
    scored=SCORED,
    words=(*NETWORK, "evaluator.images=512", "evaluator.recalibrate=256"),
)
QUICK = Size(
    epochs=0.5,
    seeds=1,
    scored=5,
    words=(*NETWORK, "data.limit=1000", "evaluator.images=64", "evaluator.recalibrate=64"),
)
