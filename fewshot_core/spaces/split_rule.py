"""Whether splitting a supernet pays at a budget: the rule behind ``split.when=auto``.

Sub-supernets divide the training that is left, so each weight sees fewer images than in one
supernet. Little training is better spent on one; where there is plenty, splitting takes away what
more training cannot: operations that disturb each other through the weights they share. The unit is
training images per option: what the own weights of an operation see in one supernet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot_core.errors import RegionError, RunFolderError
from fewshot_core.plugins import plugin_of
from fewshot_core.recipe.schema import Recipe
from fewshot_core.runs.files import read_json
from fewshot_core.spaces.region import Region

SPLITTING = "splitting.json"
"""The file of a run folder that keeps the decision."""

PAYS_FROM = 1_100_000
"""Training images per option from which on the supernet is split.

Below, no few-shot arm had a clearly higher mean iso-cost tau than the best one-shot arm on
NAS-Bench-201 (benchmarks/results/ranking_rows.json, docs/results.md), each scored in the way that
suits it best: nine arms at 18,000, 54,000 and 162,000 images per option with three seeds each, and
one pair at 1,080,000 with two. At 162,000 the best of each kind are level (0.3664 and 0.3662), and
at 1,080,000 one seed of the two is a tie. From here on this project has measured nothing; published
gains are from 5 million (two sub-supernets, 500 epochs: the logs of EFS-NAS, AAAI 2025) to 21
million (five, 600 + 5 x 300 epochs: Zhao et al., ICML 2021). All these are supernets of paths."""

MEASURED = (
    "up to there the best split was behind the best single supernet in mean iso-cost tau, or level "
    "with it, at each of four budgets on NAS-Bench-201 (3 seeds; 2 at the largest)"
)
"""What the sentence of a decision rests on."""


@dataclass(frozen=True)
class SplitDecision:
    """What becomes of the regions of a recipe.

    Attributes:
        split: Whether the supernet is split.
        parent_epochs: Passes over the training images that the parent gets. Where splitting is
            left out, it gets those of the regions as well.
        sentence: The decision in words; empty where there was nothing to decide.
    """

    split: bool
    parent_epochs: float
    sentence: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON value."""
        return {
            "split": self.split,
            "parent_epochs": self.parent_epochs,
            "sentence": self.sentence,
        }


def read_splitting(run: Path) -> SplitDecision:
    """The decision that the folder of a run holds.

    Raises:
        RunFolderError: The file is missing or damaged.
    """
    path, fix = run / SPLITTING, "delete it, and run the same fewshot search again"
    try:
        return SplitDecision(**read_json(path, fix))
    except TypeError as error:
        raise RunFolderError(f"{path} is damaged", found=error, fix=fix) from None


def decide_split(recipe: Recipe, regions: int, root: Region, images: int) -> SplitDecision:
    """Apply ``split.when`` of a recipe.

    Args:
        recipe: Its settings.
        regions: Number of regions that the split makes; 1: there is no split.
        root: The whole space.
        images: Number of training images.

    Returns:
        The decision. With ``auto`` the supernet is split if the whole budget shows each option of
        the decision with the most options :data:`PAYS_FROM` images or more.

    Raises:
        RegionError: Regions alone are to be trained, and the split makes none.
    """
    parent = recipe.supernet.epochs
    if regions < 2:
        only_regions = recipe.split.when == "always" and not recipe.regions.inherit
        if only_regions and plugin_of("splitter", recipe.split).cuts:
            raise RegionError(
                "the split leaves one region, and regions.inherit=false with split.when=always "
                "trains no supernet of the whole",
                fix="set split=none, or another split",
            )
        return SplitDecision(False, parent)
    inherits = recipe.regions.inherit
    total = regions * recipe.regions.epochs + (parent if inherits else 0.0)
    if recipe.split.when == "always":
        return SplitDecision(True, parent)
    if recipe.split.when == "never":
        return SplitDecision(False, total, "split.when=never: one supernet gets the whole budget")
    options = max(len(allowed) for allowed in root.allowed)
    seen = total * images / options
    # In whole images, so that what is said is what was compared.
    budget = f"{math.floor(seen):,} training images per option"
    others = (
        f". That was measured for supernets of single paths, and strategy={recipe.strategy.name} "
        "trains another way (docs/results.md)"
        if plugin_of("strategy", recipe.strategy).differentiable
        else ""
    )
    if seen >= PAYS_FROM:
        sentence = (
            f"the supernet is split: its budget of {budget} is not below {PAYS_FROM:,}; "
            f"{MEASURED}, and beyond nothing was measured here{others}"
        )
        return SplitDecision(True, parent, sentence)
    return SplitDecision(
        False,
        total,
        f"the supernet is not split: its budget of {budget} is below {PAYS_FROM:,}; {MEASURED}; "
        f"split.when=always splits all the same{others}",
    )
