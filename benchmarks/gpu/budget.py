"""The time of a command, from its first import on, and how much of a study fits in it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.studies.ranking.arms import Arm

BEGAN = time.monotonic()
"""This module is imported before those that take seconds."""

MARGIN, LAST_SECONDS = 0.93, 4.0
"""The share of the time that is planned with, and the seconds that are kept at the end."""


@dataclass(frozen=True)
class Budget:
    """So many seconds for the whole command."""

    seconds: float

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - BEGAN)


@dataclass(frozen=True)
class Pace:
    """What was measured of the device, from which the sizes of the study follow.

    Attributes:
        images_per_second: Images that a training sees in a second.
        setup: Seconds of a training before it is at its pace, with kernels compiled already.
        cell: Seconds that a score takes.
        all_cells: Number of distinct cells.
        fixed: Seconds of an arm beside trainings and scores.
    """

    images_per_second: float
    setup: float
    cell: float
    all_cells: int
    fixed: float

    def cells(self, left: float) -> int:
        """Cells whose scores of both arms take half of the time that is left, or all."""
        return min(self.all_cells, int(left / 4 / self.cell))

    def images(self, left: float, arms: Sequence[Arm], cells: int | None) -> int:
        """Images of an arm, so that all end in time."""
        spent = sum(self.seconds(arm, 0, cells) for arm in arms)
        seconds = MARGIN * (left - LAST_SECONDS) - spent
        return max(0, int(seconds / len(arms) * self.images_per_second))

    def seconds(self, arm: Arm, images: int, cells: int | None) -> float:
        """That an arm takes where so many cells are scored; None: all."""
        trainings = 1 + arm.regions
        scores = self.cell * min(self.all_cells, cells or self.all_cells)
        return self.fixed + trainings * self.setup + images / self.images_per_second + scores


def setup_seconds(speed: Mapping[str, Any]) -> float:
    """What a training took before it was at its pace, by its row."""
    at_pace = speed["warm_up_steps"] * speed["ms_per_step"] / 1e3
    return float(speed["first_step_seconds"] + max(0.0, speed["warm_up_seconds"] - at_pace))
