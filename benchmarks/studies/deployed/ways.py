"""Ways to search, where they are compared, and under which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SMALL = ("data.image_size=16", "data.pad=2")

LADDER = ("ladder.networks=25", "ladder.rungs=2")
"""Of a budget half goes to 25 networks, and half to the best of them."""

CHEAP = ("split=none", "strategy=random", "audit.networks=0")


COST = "COST"
"""Stands in the settings of a way for what is limited at a place, ``params`` or ``flops``."""


@dataclass(frozen=True)
class Way:
    """A way to spend a budget.

    Attributes:
        words: Its settings.
        spends: The settings that say how many passes over the training images it may spend on
            something, and the share of the budget that this is. Without any it trains nothing.
        supernets: The way whose supernets it scores with; none: it trains what it needs.
    """

    words: tuple[str, ...]
    spends: Mapping[str, float] = field(default_factory=lambda: {"ladder.epochs": 1.0})
    supernets: str | None = None


SUPERNET = Way(
    ("split=none", "strategy=rea", "search.trials=300", "audit.networks=0"),
    {"supernet.epochs": 1.0},
)

WAYS: Mapping[str, Way] = {
    "ladder from the largest": Way(
        (*CHEAP, "evaluator=counting", "search.trials=250", *LADDER),
    ),
    "ladder from NASWOT": Way((*CHEAP, "evaluator=naswot", "search.trials=250", *LADDER)),
    # One trial: the first rung is filled with random networks within the limit.
    "halving of random networks": Way(
        (*CHEAP, "evaluator=counting", "search.trials=1", *LADDER, "ladder.judge=metric"),
    ),
    "one supernet": SUPERNET,
    "NASWOT": Way((*SUPERNET.words, "evaluator=naswot"), {}),
    "supernet and NASWOT": replace(
        SUPERNET, words=(*SUPERNET.words, "evaluator=ensemble"), supernets="one supernet"
    ),
    "supernet and size": replace(
        SUPERNET,
        words=(
            *SUPERNET.words,
            *("evaluator=ensemble", "evaluator.proxy=none", f"evaluator.size={COST}"),
        ),
        supernets="one supernet",
    ),
    "supernet, NASWOT and size": replace(
        SUPERNET,
        words=(*SUPERNET.words, "evaluator=ensemble", f"evaluator.size={COST}"),
        supernets="one supernet",
    ),
    "supernet and NASWOT, then a ladder": Way(
        (*SUPERNET.words, "evaluator=ensemble", "ladder.networks=12", "ladder.rungs=2"),
        {"supernet.epochs": 0.5, "ladder.epochs": 0.5},
    ),
}


RULE = "supernet, NASWOT and size"
"""What ``budget=`` does: :mod:`fewshot_core.recipe.planning`."""


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
        left_out: Ways that are not compared here.
    """

    words: tuple[str, ...]
    table: str
    columns: tuple[str, ...]
    limit: str
    cost: str
    quantiles: tuple[float, ...]
    left_out: tuple[str, ...] = ()


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
        (0.2, 0.4, 0.6, 0.8, 1.0),
        # Trainings this short do not order these networks: docs/results/spaces.md.
        left_out=("ladder from the largest", "supernet and NASWOT, then a ladder"),
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
    ways=("ladder from the largest", "supernet and NASWOT"),
    quantiles=(0.6,),
    words=("data.limit=1000", "search.trials=4", "evaluator.samples=20"),
    limit=1_000,
)
