"""Ways to search, where they are compared, and under which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SMALL = ("data.image_size=16", "data.pad=2")

LADDER = ("ladder.networks=25", "ladder.rungs=2")
"""Of a budget half goes to 25 networks, and half to the best of them."""

CHEAP = ("split=none", "strategy=random", "audit.networks=0")


@dataclass(frozen=True)
class Way:
    """A way to spend a budget.

    Attributes:
        words: Its settings.
        epochs: The setting that says how many passes over the training images it may spend.
    """

    words: tuple[str, ...]
    epochs: str = "ladder.epochs"


WAYS: Mapping[str, Way] = {
    "ladder from the largest": Way(
        (*CHEAP, "evaluator=counting", "search.trials=250", *LADDER),
    ),
    "ladder from NASWOT": Way((*CHEAP, "evaluator=naswot", "search.trials=250", *LADDER)),
    # One trial: the first rung is filled with random networks within the limit.
    "halving of random networks": Way(
        (*CHEAP, "evaluator=counting", "search.trials=1", *LADDER, "ladder.judge=metric"),
    ),
    "one supernet": Way(
        ("split=none", "strategy=rea", "search.trials=300", "audit.networks=0"),
        epochs="supernet.epochs",
    ),
}


@dataclass(frozen=True)
class Place:
    """A space whose true values are known.

    Attributes:
        words: Settings of every search.
        table: The table in the folder of data sets.
        columns: Its columns of true values.
        limit: The setting that limits the cost, which is called ``cost`` in a cost table.
        cost: What is limited.
        quantiles: Limits by the share of the space's networks that meet them; 1 is no limit.
    """

    words: tuple[str, ...]
    table: str
    columns: tuple[str, ...]
    limit: str
    cost: str
    quantiles: tuple[float, ...]


PLACES = {
    "nasbench201": Place(
        ("recipe=nasbench201", *SMALL),
        "nasbench201/accuracies.csv",
        ("cifar10", "cifar100"),
        "constraint.params",
        "params",
        (0.2, 0.6, 1.0),
    ),
    "nasbenchmacro": Place(
        ("recipe=nasbench_macro_lab", *SMALL),
        "nasbenchmacro/accuracies.csv",
        ("cifar10",),
        "constraint.flops",
        "flops",
        (0.2, 0.6, 1.0),
    ),
}


@dataclass(frozen=True)
class Size:
    """Sizes of the study.

    Attributes:
        seeds: Seeds of every way.
        images: Training images that a search may spend.
        ways: Which of :data:`WAYS` are compared.
        quantiles: Which limits; empty: all.
        words: Settings of every search.
        limit: Images of the training part, held-out ones among them.
    """

    seeds: int
    images: int
    ways: tuple[str, ...] = tuple(WAYS)
    quantiles: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    limit: int = 50_000


FULL = Size(3, 300_000)
QUICK = Size(
    1,
    3_000,
    ways=("ladder from the largest",),
    quantiles=(0.6,),
    words=("data.limit=1000", "search.trials=4"),
    limit=1_000,
)
