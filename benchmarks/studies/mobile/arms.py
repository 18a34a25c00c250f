"""Arms and sizes of the mobile study: one supernet, or regions by the kernels of first blocks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        words: Settings of every recipe.
        bands: FLOPs that the networks of a band have, nearly.
        networks: Networks of a band.
        epochs: Passes over the training images of a training from scratch.
        budget: Passes of all supernets of an arm together.
        groups: Kernels of the first block of a unit, a region for each group.
        seeds: Seeds of the arms.
    """

    words: tuple[str, ...]
    bands: tuple[float, ...]
    networks: int
    epochs: float
    budget: float
    groups: str
    seeds: int

    def arms(self) -> dict[str, list[str]]:
        """Settings of each arm: all see as many images."""
        whole, half = self.budget, self.budget / 2
        split = [
            "split=groups",
            "split.decision=unit1_block1_kernel",
            f"split.groups={self.groups}",
            "split.when=always",
        ]
        two = [f"supernet.epochs={half}", f"regions.epochs={half / 2}", *split]
        # The two regions that are cut again are trained, too.
        four = [f"supernet.epochs={half}", f"regions.epochs={half / 6}", *split]
        again = f"[{{by: groups, decision: unit2_block1_kernel, groups: {self.groups}}}]"
        return {
            "one-shot": [f"supernet.epochs={whole}", "split=none"],
            "few-shot, 2 regions": two,
            "few-shot, 4 regions": [*four, f"split.then={again}"],
        }


FULL = Size(
    words=(
        *("recipe=mobile_cifar", "data.source=images"),
        *("evaluator.images=2000", "constraint.flops=null"),
    ),
    bands=(2e6, 4e6),
    networks=12,
    epochs=4,
    budget=8,
    groups="[[3, 5], [7]]",
    seeds=3,
)
QUICK = Size(
    words=("recipe=mobile_digits", "data.limit=300", "evaluator.recalibrate=64"),
    bands=(3.8e5,),
    networks=3,
    epochs=1,
    budget=1,
    groups="[[3], [5]]",
    seeds=1,
)
