"""Scores from the weights that an architecture inherits from its region's supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fewshot_core.evaluators.base import NAME, EvaluatorContext, with_score
from fewshot_core.evaluators.words import Told, Words
from fewshot_core.metrics import ACCURACY, Metric
from fewshot_core.plugins import register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import InheritingSettings
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture

if TYPE_CHECKING:
    from fewshot_core.supernet import Supernet
    from fewshot_core.training.objective import Scorer


@dataclass(frozen=True)
class InheritedSettings(InheritingSettings):
    """Scores with the weights of supernets."""

    name: str = setting("inherited", NAME)


class InheritedWords(Words):
    """Scores of supernets."""

    training: ClassVar[str] = "to train supernets"

    def label(self, settings: InheritingSettings, told: Told) -> str:
        return told.measured_label("supernet")

    def meaning(self, settings: InheritingSettings, told: Told) -> str:
        return f"{self.weights(told)}, without training of its own"

    def weights(self, told: Told) -> str:
        """What was measured, and with whose weights."""
        each = ", one supernet for each region" if told.few_shot else ""
        return f"{told.measured()} with the supernet's weights{each}"

    def method(self, told: Told) -> str:
        return f"{self.kind(told)} ({told.supernets})"

    def kind(self, told: Told) -> str:
        """Whether one supernet knows all architectures."""
        return f"{'few' if told.few_shot else 'one'}-shot neural architecture search"


@register(
    "evaluator",
    "inherited",
    settings=InheritedSettings,
    about="scores with the weights that architectures inherit from the supernet of their region",
    words=InheritedWords(),
    inherits=True,
    measures=True,
    budgets=True,
    direct=True,
)
def make_inherited(settings: InheritingSettings, context: EvaluatorContext) -> InheritedEvaluator:
    """An evaluator over the supernets of a run."""
    return InheritedEvaluator(
        context.tree,
        context.load_supernet,
        context.scorer(),
        score=context.metric(settings.score),
        share_equal=settings.share_equal,
    )


class InheritedEvaluator:
    """Routes each architecture to the supernet of the leaf region that contains it.

    Args:
        tree: Its leaves are the regions; a tree without cuts is one-shot NAS.
        supernet: Gives the trained supernet of a leaf. One is kept at a time, so that the memory
            needed does not grow with their number.
        scorer: Measures an architecture on the validation images.
        score: The metric that is the score.
        share_equal: Score the canonical form in place of the architecture, so that equal networks
            have one score and are computed once.
    """

    def __init__(
        self,
        tree: RegionTree,
        supernet: Callable[[Region], Supernet],
        scorer: Scorer,
        *,
        score: Metric = ACCURACY,
        share_equal: bool = True,
    ) -> None:
        self.tree = tree
        self._supernet = supernet
        self._scorer = scorer
        self._score = score
        self._share_equal = share_equal
        self._current: tuple[Region, Supernet] | None = None
        self._known: dict[tuple[Architecture, float], Mapping[str, float]] = {}

    def representative_of(self, architecture: Architecture) -> Architecture:
        """The architecture that is really run for this one."""
        if not self._share_equal:
            return architecture
        return representative(self.tree.region, architecture)

    def evaluate(self, architecture: Architecture, budget: float = 1.0) -> Mapping[str, float]:
        target = self.representative_of(architecture)
        if (target, budget) not in self._known:
            metrics = self._scorer.score(
                self._supernet_of(self.tree.locate(target)), target, budget
            )
            self._known[target, budget] = with_score(metrics, self._score)
        return self._known[target, budget]

    def price(self, budget: float) -> float:
        return self._scorer.price(budget)

    def evaluate_many(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, Mapping[str, float]]]:
        """Scores of architectures that are scored as themselves, region by region.

        Several are run at once where the supernet can; the results are those of :meth:`evaluate`.
        """
        by_region: dict[Region, list[Architecture]] = {leaf: [] for leaf in self.tree.leaves()}
        for architecture in architectures:
            by_region[self.tree.locate(architecture)].append(architecture)
        for region, members in by_region.items():
            if members:
                for architecture, metrics in self._scorer.score_many(
                    self._supernet_of(region), members
                ):
                    yield architecture, with_score(metrics, self._score)

    def _supernet_of(self, region: Region) -> Supernet:
        if self._current is None or self._current[0] != region:
            self._current = None  # before the next is loaded
            self._current = region, self._supernet(region)
        return self._current[1]


def representative(root: Region, architecture: Architecture) -> Architecture:
    """The canonical form of an architecture, or itself where the root lacks that form."""
    canonical = root.space.canonical(architecture)
    return canonical if root.contains(canonical) else architecture
