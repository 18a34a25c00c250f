"""The tasks that faults are injected into, each with a recipe of a few steps of everything.

A further task is one line of ``TASKS``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.tools.process import words_of
from tests.tools.tiny import GAN, MOBILE, TINY


@dataclass(frozen=True, eq=False)
class Tiny:
    """A task by the settings of a search that ends within seconds on one core."""

    name: str
    settings: dict[str, object] = field(default_factory=dict)

    def words(self, **more: object) -> list[str]:
        return words_of(self.settings, run="run", **more)


TASKS = (
    Tiny(
        "cifar10",
        TINY | {"checkpoint_steps": 1, "audit.networks": 3, "retrain.compare": "[random]"},
    ),
    Tiny("imagenet", MOBILE | {"checkpoint_steps": 2, "retrain.compare": "[random]"}),
    Tiny("autogan", GAN | {"retrain.compare": "[one-shot]"}),
)
