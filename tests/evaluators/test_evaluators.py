from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from fewshot_core.errors import ArchitectureError, DataError, RegionError
from fewshot_core.evaluators import (
    BudgetedEvaluator,
    InheritedEvaluator,
    ProxyEvaluator,
    TabularEvaluator,
)
from fewshot_core.evaluators.agreed import agreed
from fewshot_core.evaluators.base import with_score
from fewshot_core.evaluators.standalone import StandaloneEvaluator
from fewshot_core.metrics import ACCURACY, LOSS
from fewshot_core.spaces.region import Region, RegionTree
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters import ByDecision
from fewshot_core.supernet import Supernet
from fewshot_core.testing.toys import ToySpace, total, toy_space
from fewshot_core.training.classifier_scores import ClassificationScorer


class Mirrored(ToySpace):
    """Architectures that are each other's mirror image are one network."""

    def canonical(self, architecture: Architecture) -> Architecture:
        return Architecture(self.name, tuple(sorted(architecture.choices)))


SPACE = Mirrored("mirrored", toy_space(3, 3).decisions)
ROOT = Region.root(SPACE)
TREE = RegionTree(ROOT).grow(ByDecision("a"))


class FakeSupernet(Supernet):
    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        raise NotImplementedError

    def extract(self, architecture: Architecture) -> nn.Module:
        raise NotImplementedError


class Scorer:
    """Notes what it is asked; the accuracy is the sum and the loss a tenth of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Architecture | None]] = []

    def score(
        self, model: nn.Module, architecture: Architecture | None, share: float = 1.0
    ) -> Mapping[str, float]:
        assert isinstance(model, Supernet)
        assert architecture is not None
        self.asked.append((model.region.id, architecture))
        return {"accuracy": share * total(architecture), "loss": total(architecture) / 10}

    def price(self, share: float) -> float:
        return (1 + share) / 2


class Parts:
    """An evaluator with its scorer, and the regions whose supernets it asked for."""

    def __init__(self, tree: RegionTree = TREE, **options: object) -> None:
        self.scorer = Scorer()
        self.loaded: list[Region] = []
        self.evaluator = InheritedEvaluator(tree, self.load, self.scorer, **options)  # type: ignore[arg-type]

    def load(self, region: Region) -> Supernet:
        self.loaded.append(region)
        return FakeSupernet(region)


def architecture(*choices: int) -> Architecture:
    return Architecture(SPACE.name, choices)


# --- inherited weights


@pytest.mark.parametrize("share_equal", [True, False])
def test_every_architecture_is_scored_by_its_region(share_equal: bool) -> None:
    parts = Parts(share_equal=share_equal)
    for one in SPACE.enumerate():
        parts.evaluator.evaluate(one)
    assert all(TREE.locate(one).id == region for region, one in parts.scorer.asked if one)
    assert len(parts.scorer.asked) == (6 if share_equal else 9)


def test_a_supernet_is_loaded_once() -> None:
    parts = Parts(share_equal=False)
    for one in [*SPACE.enumerate(), *SPACE.enumerate()]:
        parts.evaluator.evaluate(one)
    assert len(parts.loaded) == len(set(parts.loaded)) == 3


def test_supernets_that_are_not_needed_are_not_loaded() -> None:
    parts = Parts()
    parts.evaluator.evaluate(architecture(1, 2))
    assert [region.id for region in parts.loaded] == ["a=1"]


def test_equal_networks_share_a_score() -> None:
    parts = Parts()
    one, other = architecture(0, 2), architecture(2, 0)
    assert parts.evaluator.evaluate(other) == parts.evaluator.evaluate(one)
    assert parts.scorer.asked == [("a=0", one)]
    assert parts.evaluator.representative_of(other) == one


def test_equal_networks_do_not_share_a_score_where_they_must_not() -> None:
    parts = Parts(share_equal=False)
    parts.evaluator.evaluate(architecture(2, 0))
    assert parts.scorer.asked == [("a=2", architecture(2, 0))]


def test_a_representative_outside_the_root_is_not_used() -> None:
    parts = Parts(RegionTree(ROOT.restrict("a", (1, 2))))
    parts.evaluator.evaluate(architecture(2, 0))
    assert parts.scorer.asked == [("a=1+2", architecture(2, 0))]


def test_an_architecture_outside_the_root_is_an_error() -> None:
    parts = Parts(RegionTree(ROOT.restrict("a", (1, 2))))
    with pytest.raises(RegionError):
        parts.evaluator.evaluate(architecture(0, 0))


def test_without_regions_there_is_one_supernet() -> None:
    parts = Parts(RegionTree(ROOT))
    for one in SPACE.enumerate():
        parts.evaluator.evaluate(one)
    assert parts.loaded == [ROOT]


def test_the_score_is_the_accuracy_or_the_negative_loss() -> None:
    one = architecture(1, 2)
    assert Parts().evaluator.evaluate(one) == {"score": 3.0, "accuracy": 3.0, "loss": 0.3}
    assert Parts(score=LOSS).evaluator.evaluate(one)["score"] == -0.3


def test_a_part_of_the_budget_is_a_score_of_its_own() -> None:
    parts, one, other = Parts(), architecture(0, 2), architecture(2, 0)
    whole = parts.evaluator.evaluate(one)["score"]
    assert parts.evaluator.evaluate(other, 0.5)["score"] == whole / 2
    assert parts.evaluator.evaluate(one, 0.5)["score"] == whole / 2
    assert len(parts.scorer.asked) == 2
    assert parts.evaluator.price(0.5) == 0.75


def test_what_takes_no_budgets_takes_none_on_many_processes() -> None:
    proxy = ProxyEvaluator(ROOT, Untrained, Proxy())
    assert not isinstance(agreed(proxy), BudgetedEvaluator)


def test_processes_agree_on_parts_as_well() -> None:
    evaluator = agreed(Parts().evaluator)
    assert isinstance(evaluator, BudgetedEvaluator)
    assert evaluator.evaluate(architecture(1, 2), 1 / 3)["accuracy"] == pytest.approx(1.0)
    assert evaluator.price(0.5) == 0.75


def test_with_score_keeps_the_metrics() -> None:
    metrics = {"accuracy": 50.0, "loss": 1.5}
    assert with_score(metrics, ACCURACY) == {"score": 50.0, **metrics}
    assert with_score(metrics, LOSS) == {"score": -1.5, **metrics}
    assert metrics == {"accuracy": 50.0, "loss": 1.5}


# --- untrained networks


class Untrained(nn.Module):
    """Knows which architecture it was built for."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture


class Proxy:
    """Scores a network by the total of its architecture, and notes it."""

    def __init__(self) -> None:
        self.asked: list[Architecture] = []

    def __call__(self, network: nn.Module) -> float:
        assert isinstance(network, Untrained)
        self.asked.append(network.architecture)
        return 10 * network.architecture.choices[0] + total(network.architecture)


def test_untrained_networks_are_scored_by_the_proxy() -> None:
    evaluator = ProxyEvaluator(ROOT, Untrained, Proxy())
    assert evaluator.evaluate(architecture(1, 2)) == {"score": 13.0}


def test_equal_untrained_networks_are_computed_once() -> None:
    proxy = Proxy()
    evaluator = ProxyEvaluator(ROOT, Untrained, proxy)
    one, other = architecture(0, 2), architecture(2, 0)
    assert evaluator.evaluate(other) == evaluator.evaluate(one) == {"score": 2.0}
    assert proxy.asked == [one]
    for each in [*SPACE.enumerate(), *SPACE.enumerate()]:
        evaluator.evaluate(each)
    assert len(proxy.asked) == 6


def test_equal_untrained_networks_are_computed_apart_where_they_must_be() -> None:
    proxy = Proxy()
    evaluator = ProxyEvaluator(ROOT, Untrained, proxy, share_equal=False)
    for each in [*SPACE.enumerate(), *SPACE.enumerate()]:
        assert evaluator.evaluate(each)["score"] == 10 * each.choices[0] + total(each)
    assert proxy.asked == list(SPACE.enumerate())


def test_a_network_outside_the_root_does_not_stand_for_another() -> None:
    proxy = Proxy()
    ProxyEvaluator(ROOT.restrict("a", (1, 2)), Untrained, proxy).evaluate(architecture(2, 0))
    assert proxy.asked == [architecture(2, 0)]


# --- standalone and table


def test_standalone_training_is_scored() -> None:
    evaluator = StandaloneEvaluator(lambda a, share: {"accuracy": total(a), "loss": share}, LOSS)
    assert evaluator.evaluate(architecture(1, 2)) == {"score": -1.0, "accuracy": 3.0, "loss": 1.0}
    assert evaluator.evaluate(architecture(1, 2), 1 / 3)["loss"] == 1 / 3
    assert evaluator.price(1 / 3) == 1 / 3


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text('architecture,score,other\n"[0,1]",93.5,1\n"[ 2, 1 ]",50,2\n')
    return path


def test_a_table_is_looked_up(table: Path) -> None:
    evaluator = TabularEvaluator(SPACE, table, "score")
    assert evaluator.evaluate(architecture(0, 1)) == {"score": 93.5}
    assert evaluator.evaluate(architecture(2, 1)) == {"score": 50.0}  # however it was written
    assert TabularEvaluator(SPACE, table, "other").evaluate(architecture(2, 1)) == {"score": 2.0}


def test_an_architecture_that_a_table_lacks_is_an_error(table: Path) -> None:
    with pytest.raises(DataError, match=r"table\.csv has no row for .*\[2,2\]"):
        TabularEvaluator(SPACE, table, "score").evaluate(architecture(2, 2))


def test_a_column_that_a_table_lacks_is_an_error(table: Path) -> None:
    with pytest.raises(DataError, match="scores"):
        TabularEvaluator(SPACE, table, "scores")


def test_a_table_of_another_space_is_an_error(table: Path) -> None:
    with pytest.raises(ArchitectureError):
        TabularEvaluator(toy_space(2, 2, 2), table, "score")


def test_a_missing_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv"):
        TabularEvaluator(SPACE, tmp_path / "none.csv", "score")


# --- the scorer of classifiers


class Shifting(nn.Module):
    """Says class 1 where the normalised image is positive; another architecture says class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)

    def forward(self, x: Tensor, choice: Architecture | None = None) -> Tensor:
        x = self.norm(x)
        if choice is not None and choice.choices[0] == 0:
            x = -x
        return torch.cat([-x, x], 1)


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


VALUES = torch.tensor([[8.0], [9.0], [11.0], [12.0], [13.0]])
LABELS = torch.tensor([0, 0, 1, 1, 0])
BATCHES = [(VALUES[:3], LABELS[:3]), (VALUES[3:], LABELS[3:])]


def test_a_supernet_is_recalibrated_and_put_back(accelerator: Accelerator) -> None:
    model = Shifting()
    scorer = ClassificationScorer(BATCHES, [torch.tensor([[9.0], [11.0]])], accelerator)
    # With fresh statistics all images are positive; around their own mean of 10 three of five are.
    assert scorer.score(model, architecture(1, 0))["accuracy"] == 80.0
    assert scorer.score(model, architecture(0, 0))["accuracy"] == 20.0
    assert float(model.norm.running_mean) == 0.0


def test_a_standalone_model_is_scored_as_it_is(accelerator: Accelerator) -> None:
    scorer = ClassificationScorer(BATCHES, [torch.tensor([[9.0], [11.0]])], accelerator)
    model = Shifting().train()
    metrics = scorer.score(model, None)
    assert metrics["accuracy"] == 40.0
    assert int(model.norm.num_batches_tracked) == 0


def test_batches_of_different_sizes_weigh_by_their_images(accelerator: Accelerator) -> None:
    scorer = ClassificationScorer(BATCHES, [], accelerator)
    model = Shifting().eval()
    expected = nn.functional.cross_entropy(model(VALUES), LABELS)
    assert scorer.score(model, None)["loss"] == pytest.approx(float(expected), rel=1e-5)


def test_a_share_takes_images_of_every_class(accelerator: Accelerator) -> None:
    """They may come class by class, as from a folder."""
    values = torch.arange(12.0)[:, None]
    batches = [(values[:8], (values[:8, 0] >= 6).long()), (values[8:], (values[8:, 0] >= 6).long())]
    scorer = ClassificationScorer(batches, [], accelerator)
    asked: list[Tensor] = []

    class Noting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            asked.append(x)
            return torch.cat([5.5 - x, x - 5.5], 1)

    assert scorer.score(Noting(), None, 1 / 3)["accuracy"] == 100.0
    assert torch.cat(asked).flatten().tolist() == [0.0, 3.0, 6.0, 9.0]
    asked.clear()
    scorer.score(Noting(), None, 0.01)
    assert torch.cat(asked).flatten().tolist() == [0.0]
    asked.clear()
    scorer.score(Noting(), None)
    assert [len(images) for images in asked] == [8, 4]


def test_recalibration_costs_the_same_for_every_share(accelerator: Accelerator) -> None:
    images = torch.zeros(90, 1)
    batches = [(images, images[:, 0].long())]
    assert ClassificationScorer(batches, [], accelerator).price(1 / 9) == pytest.approx(1 / 9)
    scorer = ClassificationScorer(batches, [images[:60]], accelerator)
    assert scorer.price(1 / 9) == (60 + 10) / 150
    assert scorer.price(1.0) == 1.0
