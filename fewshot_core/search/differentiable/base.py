"""What every differentiable strategy says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from fewshot_core.search.preferences.relaxed import RelaxedSupernet
    from fewshot_core.search.preferences.steps import Loss, PreferenceStep
    from fewshot_core.spaces.paths import PathPolicy
    from fewshot_core.supernet import Supernet

WEIGHT_DECAY = "what pulls preferences to zero"
"""The help text of a weight decay."""

SAMPLES = "architectures that a region names and that are scored in the end"
"""The help text of the number of architectures that are drawn."""


@dataclass(frozen=True)
class StepContext:
    """What the training of one region gives to the step that moves its preferences.

    Attributes:
        loss: The task's loss of the model on a batch; None for the architecture: of the mixture.
        lr: Step size of Adam.
        rate: Learning rate of the weights, by step.
        accepts: Whether an architecture is in the region and satisfies the constraint.
        seed: Seed of everything that is drawn.
    """

    loss: Loss
    lr: float
    rate: Callable[[int], float]
    accepts: Callable[[Architecture], bool]
    seed: int


class Method(ABC):
    """A differentiable strategy: how a supernet and its preferences are trained together.

    Made from the settings of the strategy and, in place of a context, its section ``preferences``.

    Attributes:
        preferences: That section.
        reach: How far Adam moves a preference where ``preferences.lr`` is not set: step size times
            steps. DARTS takes 50 epochs of 390 steps with 3e-4 (Liu et al., appendix A.1), which is
            5.9. In a tenth of the steps gradients agree less, and with 6 hardly anything is
            preferred; docs/strategies.md has what was looked at, and no true accuracy was.
        mixes: Whether the supernet has to run all of its options at once.
    """

    reach: ClassVar[float] = 20.0
    mixes: ClassVar[bool] = True

    def __init__(self, preferences: Any) -> None:
        self.preferences = preferences

    @property
    def start(self) -> float:
        """Share of the training that is over when preferences begin to move."""
        return 0.0

    @property
    def count(self) -> int:
        """Number of architectures that a region names, at most."""
        return 1

    @property
    def partial(self) -> int:
        """Mixtures are of one of so many channels; for tasks, whose supernets compute them."""
        return 1

    def relax(self, supernet: Supernet) -> RelaxedSupernet:
        """Give a supernet fresh preferences, drawn from torch's generator."""
        from fewshot_core.search.preferences.relaxed import RelaxedSupernet

        return RelaxedSupernet(supernet)

    def paths(self, model: RelaxedSupernet) -> PathPolicy | None:
        """What the weights are trained on; None: the mixture."""
        return None

    @abstractmethod
    def make_step(self, model: RelaxedSupernet, context: StepContext) -> PreferenceStep:
        """What moves the preferences of a model."""
