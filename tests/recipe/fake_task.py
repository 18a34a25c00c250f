"""A task of its own for the tests: only what the loader looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

from fewshot_core.description import Description
from fewshot_core.recipe.declare import setting
from fewshot_core.task import TaskDefaults


@dataclass(frozen=True)
class Stem:
    """The first layer."""

    width: int = setting(8, "channels")


@dataclass(frozen=True)
class FakeNetwork:
    """The network of the fake task."""

    channels: int = setting(16, "channels of the first stage")
    depths: list[int] = setting([1, 2])
    pair: tuple[int, int] = (3, 5)
    activation: str | None = None
    stem: Stem = field(default_factory=Stem)


class FakeTask(TaskDefaults):
    """Supplies its description and nothing else."""

    description = Description({"network": FakeNetwork})


TASK = FakeTask()
NOT_A_TASK = 3
