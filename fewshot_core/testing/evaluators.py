"""What every evaluator has to do, with a run that is made up."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.evaluators.base import (
    BudgetedEvaluator,
    Evaluator,
    EvaluatorContext,
    RequiringEvaluator,
)
from fewshot_core.evaluators.words import find_words
from fewshot_core.metrics import CLASSIFICATION, Metric
from fewshot_core.plugins import Plugin, plugin
from fewshot_core.recipe.declare import help_of
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters import ByDecision
from fewshot_core.supernet import Supernet
from fewshot_core.testing.toys import ToySpace, total, toy_space

METRICS = ("accuracy", "loss")


@dataclass(frozen=True)
class MirroredSpace(ToySpace):
    """Architectures that are each other's mirror image are one network."""

    def canonical(self, architecture: Architecture) -> Architecture:
        return Architecture(self.name, tuple(sorted(architecture.choices)))


class ToySupernet(Supernet):
    """Stands for a trained supernet; the scorer looks at its region alone."""

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        raise NotImplementedError

    def extract(self, architecture: Architecture) -> nn.Module:
        raise NotImplementedError


class ToyScorer:
    """Measures by the choices of an architecture; with a part of the images, another value."""

    def score(
        self, model: nn.Module, architecture: Architecture | None, share: float = 1.0
    ) -> Mapping[str, float]:
        """Metrics of an architecture of a supernet that holds it."""
        assert isinstance(model, Supernet)
        assert architecture is not None
        assert model.region.contains(architecture), "the supernet of another region was asked"
        return _metrics(architecture, share)

    def price(self, share: float) -> float:
        """Something has to be done for every score."""
        return (1 + share) / 2

    def score_many(
        self, model: Supernet, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, Mapping[str, float]]]:
        """One after the other."""
        for architecture in architectures:
            yield architecture, self.score(model, architecture)


def _metrics(architecture: Architecture, share: float) -> dict[str, float]:
    accuracy = share * (50 + total(architecture)) + int(architecture.id, 16) / 16**12
    return {"accuracy": accuracy, "loss": 100 / accuracy}


@dataclass
class ToyContext:
    """A run of which everything is made up: see :class:`EvaluatorContext`.

    Attributes:
        kept: What an evaluator has kept, by file.
        told: What it has told the user.
    """

    root: Region = field(
        default_factory=lambda: Region.root(MirroredSpace("mirrored", toy_space(5, 5, 5).decisions))
    )
    seed: int = 0
    input_size: tuple[int, int, int] = (3, 6, 6)
    kept: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @property
    def tree(self) -> RegionTree:
        """A region for every option of the first decision."""
        return RegionTree(self.root).grow(ByDecision(self.root.space.decisions[0].name))

    def accepts(self, architecture: Architecture) -> bool:
        """Everything but the largest."""
        return total(architecture) < 12

    def load_supernet(self, region: Region) -> Supernet:
        """A supernet that knows its region."""
        assert region in self.tree.leaves()
        return ToySupernet(region)

    def scorer(self) -> ToyScorer:
        """A scorer."""
        return ToyScorer()

    def train(self, architecture: Architecture, epochs: float) -> Mapping[str, float]:
        """As if it had been trained."""
        return _metrics(architecture, epochs / (1 + epochs))

    def untrained(self, architecture: Architecture, seed: int) -> nn.Module:
        """A network of a few layers, the wider the larger the architecture."""
        channels, width = self.input_size[0], 8 + 8 * int(total(architecture))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return nn.Sequential(
                nn.Conv2d(channels, width, 3, bias=False),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(width, 4),
            )

    def costs(self, architecture: Architecture) -> Mapping[str, float]:
        """The larger the architecture, the more."""
        size = total(architecture)
        return {
            f"{part}{name}": factor * (1 + size)
            for part in ("", "connected_")
            for name, factor in (("params", 10.0), ("flops", 90.0))
        }

    def metric(self, name: str) -> Metric:
        """Accuracy or loss."""
        return next(metric for metric in CLASSIFICATION if metric.name == name)

    def training_images(self, count: int, seed: int) -> Tensor:
        """Noise; there are 40 images."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(min(count, 40), *self.input_size, generator=generator)

    def score_and_keep(
        self,
        make: Callable[[], Evaluator],
        architectures: Sequence[Architecture],
        file: str,
        title: str,
    ) -> Mapping[Architecture, float]:
        """Scores, and which there are."""
        evaluator = make()
        scores = {a: evaluator.evaluate(a)["score"] for a in architectures}
        self.keep(file, scores)
        return scores

    def keep(self, file: str, value: Any) -> None:
        """Keep it."""
        self.kept[file] = value

    def tell(self, line: str) -> None:
        """Note it."""
        self.told.append(line)


@dataclass(frozen=True)
class ToyTold:
    """A run that a report is about: see :class:`fewshot_core.evaluators.words.Told`."""

    few_shot: bool = True
    supernets: str = "3 sub-supernets"
    data: Mapping[str, Any] = field(default_factory=dict)
    predictor: Mapping[str, Any] | None = None

    def measured(self) -> str:
        """A phrase."""
        return "accuracy in % on 56 validation images"

    def measured_label(self, how: str) -> str:
        """A label."""
        return f"validation accuracy, {how} (%)"


class EvaluatorSuite:
    """Tests of an evaluator: name its plug-in, and what has to be set.

    ``context`` may be overridden, for evaluators that need a space of their own.
    """

    plugin = ""
    """Name or dotted path of the plug-in under test."""

    settings: ClassVar[Mapping[str, Any]] = {}
    """Settings that differ from the defaults, such as the path of a file."""

    @pytest.fixture
    def context(self) -> EvaluatorContext:
        """The run."""
        return ToyContext()

    @pytest.fixture
    def entry(self) -> Plugin:
        """The plug-in."""
        return plugin("evaluator", self.plugin)

    @pytest.fixture
    def chosen(self, entry: Plugin) -> Any:
        """Its settings."""
        return replace(entry.default(), **self.settings)

    @pytest.fixture
    def evaluator(self, entry: Plugin, chosen: Any, context: EvaluatorContext) -> Evaluator:
        """The evaluator under test."""
        evaluator: Evaluator = entry.make(chosen, context)
        return evaluator

    @pytest.fixture
    def architectures(self, context: EvaluatorContext) -> list[Architecture]:
        """Some of those that a search may ask for."""
        rng = random.Random(0)
        drawn = (context.root.sample(rng) for _ in range(200))
        return [a for a in dict.fromkeys(drawn) if context.accepts(a)][:12]

    # -- scores ------------------------------------------------------------------------------

    def test_scores_are_numbers(
        self, evaluator: Evaluator, architectures: list[Architecture]
    ) -> None:
        scores = [evaluator.evaluate(a)["score"] for a in architectures]
        assert all(math.isfinite(score) for score in scores)
        assert len(set(scores)) > 1, "all architectures are equals"

    def test_asked_again_it_says_the_same(
        self,
        entry: Plugin,
        chosen: Any,
        context: EvaluatorContext,
        evaluator: Evaluator,
        architectures: list[Architecture],
    ) -> None:
        first = {a: dict(evaluator.evaluate(a)) for a in architectures}
        assert {a: dict(evaluator.evaluate(a)) for a in reversed(architectures)} == first
        # So does another process, in another order.
        other = entry.make(chosen, context)
        assert {a: dict(other.evaluate(a)) for a in reversed(architectures)} == first

    def test_equal_networks_have_one_score(
        self,
        entry: Plugin,
        chosen: Any,
        context: EvaluatorContext,
        evaluator: Evaluator,
        architectures: list[Architecture],
    ) -> None:
        predicts = entry.inherits and not entry.direct
        if predicts or not getattr(chosen, "share_equal", False):
            pytest.skip("it scores every architecture by itself")
        for architecture in architectures:
            canonical = context.root.space.canonical(architecture)
            assert evaluator.evaluate(architecture) == evaluator.evaluate(canonical)

    def test_budgets_are_what_it_says(
        self, entry: Plugin, evaluator: Evaluator, architectures: list[Architecture]
    ) -> None:
        assert isinstance(evaluator, BudgetedEvaluator) == entry.budgets
        if not isinstance(evaluator, BudgetedEvaluator):
            return
        assert evaluator.price(1.0) == 1.0
        prices = [evaluator.price(share) for share in (1 / 9, 1 / 3, 1.0)]
        assert prices == sorted(prices)
        assert prices[0] > 0
        for architecture in architectures:
            assert evaluator.evaluate(architecture, 1.0) == evaluator.evaluate(architecture)
            assert math.isfinite(evaluator.evaluate(architecture, 1 / 3)["score"])

    def test_a_measured_score_is_one_of_the_metrics(
        self, entry: Plugin, chosen: Any, context: EvaluatorContext
    ) -> None:
        if not (entry.measures and entry.budgets):
            pytest.skip("it measures no network itself")
        by_loss = entry.make(replace(chosen, score="loss"), context)
        metrics = by_loss.evaluate(context.root.sample(random.Random(0)))
        assert metrics["score"] == -metrics["loss"]
        assert set(METRICS) < set(metrics)

    def test_what_can_be_asked_before_a_search_passes(
        self, entry: Plugin, evaluator: Evaluator, context: EvaluatorContext
    ) -> None:
        if not isinstance(evaluator, RequiringEvaluator):
            pytest.skip("it cannot tell before")
        assert not entry.inherits, "before a search nothing is trained"
        assert not entry.trains
        evaluator.require(context.root, context.accepts)

    # -- words -------------------------------------------------------------------------------

    def test_its_settings_are_described(self, entry: Plugin) -> None:
        assert entry.about
        undescribed = [f.name for f in dataclasses.fields(entry.settings) if not help_of(f)]
        assert undescribed == []

    @pytest.mark.parametrize("few_shot", [True, False])
    def test_its_scores_have_words(self, entry: Plugin, chosen: Any, few_shot: bool) -> None:
        told = ToyTold(few_shot, "3 sub-supernets" if few_shot else "one supernet")
        said = [
            find_words(entry).label(chosen, told),
            find_words(entry).meaning(chosen, told),
            find_words(entry).method(told),
        ]
        for text in said:
            assert text.strip() == text != ""
            assert "\n" not in text
            assert "None" not in text
        # Supernets are spoken of where there are some, and nowhere else.
        assert any("supernet" in text for text in said[1:]) == entry.inherits
        assert ("validation" in said[1]) == entry.measures
        assert bool(find_words(entry).training) or not (entry.inherits or entry.trains)
