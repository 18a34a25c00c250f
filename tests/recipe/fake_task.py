"""A task of its own for the tests: only what the loader looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

from fewshot_core.task import TaskDefaults
from fewshot_core.tasks import Description


@dataclass
class Stem:
    """The first layer."""

    width: int = 8  # channels


@dataclass
class FakeNetwork:
    """The network of the fake task."""

    channels: int = 16  # channels of the first stage
    depths: list[int] = field(default_factory=lambda: [1, 2])
    pair: tuple[int, int] = (3, 5)
    activation: str | None = None
    stem: Stem = field(default_factory=Stem)


class FakeTask(TaskDefaults):
    """Supplies its description and nothing else."""

    description = Description({"network": FakeNetwork})


TASK = FakeTask()
NOT_A_TASK = 3
