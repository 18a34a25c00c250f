"""The tables of the study, and how their networks are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.studies.cifar10 import read_networks
from benchmarks.studies.jobs import Rows
from fewshot_core.spaces.space import Architecture

SMALL = ("data.image_size=16", "data.pad=2", "split=none")


@dataclass(frozen=True)
class Place:
    """A table of true accuracies, and how its networks are trained here.

    Attributes:
        table: The table in the folder of data sets.
        columns: Its columns of true values.
        words: Settings of every training.
        cost: What is limited.
        networks: How many are trained for the shortest lengths.
        upper: Share of them that is drawn from the half that costs more.
        limited: The table's column of costs that limits are about; without it they are about
            ``cost``.
        limits: What networks may cost; without them as much as a share of the networks does.
    """

    table: str
    columns: tuple[str, ...]
    words: tuple[str, ...]
    cost: str
    networks: int
    upper: float = 0.5
    limited: str | None = None
    limits: tuple[float, ...] = ()


PLACES = {
    "nasbench201": Place(
        "nasbench201/accuracies.csv",
        ("cifar10", "cifar100"),
        ("recipe=nasbench201", *SMALL, "retrain.lr=0.1"),
        "connected_params",
        240,
    ),
    "nasbenchmacro": Place(
        "nasbenchmacro/accuracies.csv",
        ("cifar10",),
        ("recipe=nasbench_macro_lab", *SMALL, "retrain.lr=0.05"),
        "connected_flops",
        160,
        limited="flops",
        limits=(30e6, 45e6, 60e6, 80e6),
    ),
}


@lru_cache(maxsize=8)
def read_once(place: Place, column: str, data: Path) -> Mapping[Architecture, float]:
    """The networks of a place with the values of a column."""
    return read_networks(place.words, data / place.table, column)


def curves_of(name: str, rows: Rows) -> dict[tuple[int, int], dict[str, list[float]]]:
    """What is known of a place."""
    found: dict[tuple[int, int], dict[str, list[float]]] = {}
    for key, row in rows.items():
        place, images, *seed = key.split(" | ")
        if place == name and images.endswith(" images"):
            which = int(images.split()[0]), int(seed[0].split()[1])
            found.setdefault(which, {}).update(row["networks"])
    return found
