"""Arms and sizes of the ranking study: every arm is recipe nasbench201 with a few settings changed.

All arms of a budget see the same number of training images. A few-shot arm that inherits spends
half of them on the parent and divides the other half among its regions; one that does not inherit
has no parent to pay for and divides all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

LR = 0.05
"""Learning rate of a training from scratch; sub-supernets that inherit start at half of it."""

PARENT_SHARE = 0.5
"""Share of a few-shot budget that the parent supernet gets."""


@dataclass(frozen=True)
class Arm:
    """One way to spend a budget.

    Attributes:
        name: For tables.
        paths: Path policy of every supernet.
        regions: Number of sub-supernets; 0: one-shot.
        split: Settings of the section ``split``.
        inherit: Whether sub-supernets start from the parent.
    """

    name: str
    paths: str
    regions: int = 0
    split: tuple[str, ...] = ("split=none",)
    inherit: bool = True

    @property
    def has_parent(self) -> bool:
        """Whether the arm begins with a parent that other arms of its paths can share."""
        return bool(self.regions) and self.inherit

    def words(self, epochs: float) -> list[str]:
        """The settings for a budget of ``epochs`` passes over the training images."""
        words = [*self.split, f"supernet.paths={self.paths}", f"regions.paths={self.paths}"]
        words += [f"supernet.lr={LR}", f"regions.lr={LR / 2}"]
        if not self.regions:
            return [*words, f"supernet.epochs={epochs:g}"]
        if not self.inherit:
            # Nothing is fine-tuned here: the regions train from scratch, as a parent would.
            each = f"regions.epochs={epochs / self.regions:g}"
            return [*words[:-1], f"regions.lr={LR}", "regions.inherit=false", each]
        left = epochs * (1 - PARENT_SHARE) / self.regions
        return [*words, f"supernet.epochs={epochs * PARENT_SHARE:g}", f"regions.epochs={left:g}"]


BANDS = ("split=bands", "split.feature=nonlinear")
EDGE = ("split=decision", "split.decision=edge_1_0")

ARMS = (
    Arm("one-shot, uniform", "uniform"),
    Arm("one-shot, fair", "fair"),
    Arm("one-shot, balanced", "balanced"),
    Arm("few-shot, 5 by one edge", "balanced", 5, EDGE),
    Arm("few-shot, 5 by one edge, no inheritance", "balanced", 5, EDGE, inherit=False),
    Arm("few-shot, 2 bands", "balanced", 2, (*BANDS, "split.cuts=[3]")),
    Arm("few-shot, 3 bands", "balanced", 3, (*BANDS, "split.cuts=[2,4]")),
    Arm("few-shot, 2 by gradients", "balanced", 2, ("split=gradients", "split.count=2")),
    Arm("few-shot, 5 at random", "balanced", 5, ("split=random", "split.count=5")),
)

PROXIES = ("synflow", "naswot")

FIGURES = ("tau", "tau_distinct", "iso_cost_tau", "spearman", "tau_top10", "best_true", "best_ties")
"""What is kept of a ranking."""


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        epochs: Budgets, in passes over the training images.
        seeds: Seeds of each arm at each budget.
        long_epochs: Budgets of the best arms.
        long_seeds: Seeds of these.
        cells: Number of table rows that arms are ranked on.
        long_cells: The same for long budgets; None: all.
        words: Settings of every recipe.
    """

    epochs: tuple[float, ...]
    seeds: int
    long_epochs: tuple[float, ...]
    long_seeds: int
    cells: int
    long_cells: int | None
    words: tuple[str, ...]


FULL = Size(
    epochs=(2, 6, 18),
    seeds=3,
    long_epochs=(120,),
    long_seeds=2,
    cells=400,
    long_cells=None,
    words=("evaluator.images=512", "evaluator.recalibrate=256"),
)
QUICK = Size(
    epochs=(0.5,),
    seeds=1,
    long_epochs=(1,),
    long_seeds=1,
    cells=60,
    long_cells=100,
    words=("data.limit=2000", "evaluator.images=128", "evaluator.recalibrate=128"),
)
