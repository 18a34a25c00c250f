"""What every evaluator does, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fewshot_core.metrics import Metric
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fewshot_core.supernet import Supernet
    from fewshot_core.training.objective import Scorer

NAME = "which evaluator: {names}"
"""The help text of the field that names an evaluator."""


class Evaluator(Protocol):
    """Scores architectures; the search loop calls it once for each new one."""

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        """Metrics, among them ``score``: the one to maximise."""


@runtime_checkable
class BudgetedEvaluator(Evaluator, Protocol):
    """An evaluator that can spend less on an architecture and then knows less about it.

    Evaluators without :meth:`price` (tables, proxies) know one budget: an evaluation is an
    evaluation.
    """

    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> Mapping[str, float]:
        """The metrics, measured with this share of the whole budget, in (0, 1]."""

    def price(self, budget: float) -> float:
        """What an evaluation with this share costs, in evaluations with the whole budget.

        Not always the share itself: what has to be done for the smallest share, too, counts.
        """


@runtime_checkable
class RequiringEvaluator(Evaluator, Protocol):
    """An evaluator that can tell before a search whether it can score what may be asked for.

    It is made and asked before anything is written or trained, so this is for evaluators that
    train nothing.
    """

    def require(self, region: Region, accepts: Callable[[Architecture], bool]) -> None:
        """Find out whether the architectures of a region can be scored.

        Args:
            region: Where the search asks.
            accepts: The constraint.

        Raises:
            FewshotError: They cannot.
        """


class EvaluatorContext(Protocol):
    """What an evaluator is made from, beside its settings: parts of the run.

    Everything costs something only when it is asked for.
    """

    @property
    def seed(self) -> int:
        """The seed of the run."""

    @property
    def root(self) -> Region:
        """The whole space."""

    @property
    def tree(self) -> RegionTree:
        """The regions that have a supernet each; without a split the root alone."""

    @property
    def input_size(self) -> tuple[int, int, int]:
        """Channels, height and width of the images that networks are trained on."""

    def costs(self, architecture: Architecture) -> Mapping[str, float]:
        """What a network costs: :meth:`fewshot_core.costs.table.CostTable.costs`."""

    def metric(self, name: str) -> Metric:
        """What the task measures under this name."""

    @property
    def accepts(self) -> Callable[[Architecture], bool]:
        """Whether a search may ask for an architecture: constraint and region allow it."""

    def load_supernet(self, region: Region) -> Supernet:
        """The trained supernet of a leaf of the tree, where it is scored."""

    def scorer(self) -> Scorer:
        """Measures supernets on the validation images, in the size that supernets see."""

    def train(self, architecture: Architecture, epochs: float) -> Mapping[str, float]:
        """Train a network from scratch, and measure it on the validation images.

        Where its training diverges, all metrics are nan.
        """

    def untrained(self, architecture: Architecture, seed: int) -> nn.Module:
        """The network of an architecture on the CPU, its initial weights drawn with this seed."""

    def training_images(self, count: int, seed: int) -> Tensor:
        """Normalised training images where networks are run, ``[count, C, H, W]`` or fewer."""

    def score_and_keep(
        self,
        make: Callable[[], Evaluator],
        architectures: Sequence[Architecture],
        file: str,
        title: str,
    ) -> Mapping[Architecture, float]:
        """Scores that a killed run has not to compute again.

        Args:
            make: Makes the evaluator; it is not called where the file has all scores.
            architectures: Alike on every process.
            file: Name of the file in the run folder that keeps them.
            title: What the progress is called.
        """

    def keep(self, file: str, value: Any) -> None:
        """Write a JSON value to a file of the run folder."""

    def tell(self, line: str) -> None:
        """Show a line to the user."""


def with_score(metrics: Mapping[str, float], score: Metric) -> dict[str, float]:
    """Add ``score`` to the metrics: one of them, with its sign turned where less is better."""
    return {"score": score.to_score(metrics[score.name]), **metrics}
