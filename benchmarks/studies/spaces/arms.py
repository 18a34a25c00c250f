"""Spaces, arms and sizes of the study of spaces."""

from __future__ import annotations

from dataclasses import dataclass

ARMS = ("one-shot", "few-shot", "from scratch", "NASWOT")
BY_COMPLEXITY = {
    "one-shot, by complexity": "one-shot",
    "few-shot, by complexity": "few-shot",
}
"""Arms whose learning rate falls by the size of the architecture; cells without a path left out."""

SUPERNETS = ("one-shot", "few-shot", *BY_COMPLEXITY)


@dataclass(frozen=True)
class Place:
    """A space with a table of true values.

    Attributes:
        words: Its lab recipe, and what the study changes in it.
        table: A CSV file in the folder of data sets.
        column: Its column of true values.
        decision: Regions are its options.
        options: Number of them.
        epochs: Passes over the training images that an arm may spend.
        networks: Networks of the table that are ranked.
        trained: How many of them are trained from scratch, each with an equal share.
        cost: What networks of equal cost have in common.
        arms: What is compared.
    """

    words: tuple[str, ...]
    table: str
    column: str
    decision: str
    options: int
    epochs: float = 4
    networks: int = 200
    trained: int = 20
    cost: str = "connected_params"
    arms: tuple[str, ...] = ARMS

    def settings(self, arm: str) -> list[str]:
        """Settings of an arm: all see as many images."""
        if arm in BY_COMPLEXITY:
            rates = [f"{section}.schedule=complexity" for section in ("supernet", "regions")]
            paths = [f"{section}.paths.connected=true" for section in ("supernet", "regions")]
            used = 2 if BY_COMPLEXITY[arm] == "few-shot" else 1  # without a split no regions
            return [*self.settings(BY_COMPLEXITY[arm]), *rates[:used], *paths[:used]]
        if arm == "few-shot":
            # Half of the images for the parent, and the other half divided among the regions.
            each = self.epochs / 2 / self.options
            split = ["split=decision", f"split.decision={self.decision}", "split.when=always"]
            return [*split, f"supernet.epochs={self.epochs / 2:g}", f"regions.epochs={each:g}"]
        if arm == "from scratch":
            return ["split=none", f"retrain.epochs={self.epochs / self.trained:g}"]
        if arm == "NASWOT":
            return ["split=none", "evaluator=naswot"]
        return ["split=none", f"supernet.epochs={self.epochs:g}"]


SMALL = ("data.image_size=16", "data.pad=2")
RATES = ("supernet.lr=0.05", "regions.lr=0.025")
NASBENCH101 = ("nasbench101/accuracies.csv", "valid_108")


def _one_shot_one(number: int, last: str, networks: int) -> Place:
    words = ("recipe=nasbench1shot1_lab", f"network.space=nasbench1shot1_{number}")
    return Place((*words, *SMALL, *RATES), *NASBENCH101, last, 3, networks=networks)


PLACES = {
    "nasbench201": Place(
        ("recipe=nasbench201", *SMALL, *RATES),
        "nasbench201/accuracies.csv",
        "cifar10",
        "edge_1_0",
        5,
        arms=(*ARMS, *BY_COMPLEXITY),
    ),
    "nasbench_macro": Place(
        ("recipe=nasbench_macro_lab", *SMALL, *RATES),
        "nasbenchmacro/accuracies.csv",
        "cifar10",
        "unit1_block1",
        3,
        cost="connected_flops",
        arms=(*ARMS, *BY_COMPLEXITY),
    ),
    "nasbench1shot1_1": _one_shot_one(1, "node4_operation", 195),
    "nasbench1shot1_2": _one_shot_one(2, "node4_operation", 200),
    "nasbench1shot1_3": _one_shot_one(3, "node5_operation", 200),
    "darts": Place(
        ("recipe=darts_lab", *SMALL),
        "nasbench301/surrogate_sample.csv",
        "cifar10",
        "normal_edge_2_0",
        7,
        epochs=1.5,
        networks=150,
        trained=10,
    ),
}


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        seeds: Seeds of every arm.
        words: Settings of every recipe.
        share: Share of the networks and epochs of a place that is taken.
    """

    seeds: int
    words: tuple[str, ...]
    share: float = 1.0


FULL = Size(3, ("data.source=images", "evaluator.images=500", "evaluator.recalibrate=256"))
QUICK = Size(
    1,
    (
        "data.source=images",
        "data.limit=2000",
        "evaluator.images=128",
        "evaluator.recalibrate=128",
    ),
    share=0.05,
)
