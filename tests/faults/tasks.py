"""The tasks that faults are injected into, each with a recipe of a few steps of everything.

A further task is one line of ``TASKS``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.tools.conftest import TINY
from tests.tools.process import words_of


@dataclass(frozen=True)
class Tiny:
    """A task by the settings of a search that ends within seconds on one core."""

    name: str
    settings: dict[str, object] = field(default_factory=dict)

    def words(self, **more: object) -> list[str]:
        return words_of(self.settings, run="run", **more)


TASKS = (Tiny("cifar10", TINY | {"audit.networks": 3, "retrain.compare": "[random]"}),)
