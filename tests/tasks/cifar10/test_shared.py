"""Scoring many cells at once gives what scoring each gives, with less work."""

from __future__ import annotations

import random

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

import tasks.cifar10.shared
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.classification import ClassificationScorer
from tasks.cifar10.space import nasbench201
from tasks.cifar10.supernet import CellSupernet


@pytest.fixture
def supernet() -> CellSupernet:
    torch.manual_seed(0)
    region = Region.root(nasbench201())
    return CellSupernet(region, channels=4, cells_per_stage=2, num_classes=3, in_chans=1).eval()


def make_scorer(recalibrated: bool) -> ClassificationScorer:
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> Tensor:
        return torch.randn(count, 1, 6, 6, generator=generator)

    # Two batches of each kind, of different sizes: an output belongs to one of them.
    batches = [(images(5), torch.arange(5) % 3), (images(4), torch.arange(4) % 3)]
    calibration = [images(6), images(7)] if recalibrated else []
    return ClassificationScorer(batches, calibration, Accelerator(cpu=True))


def some_cells(region: Region, count: int) -> list[Architecture]:
    """Random cells, and a dense corner of the space in which much is shared."""
    rng = random.Random(0)
    corner = region.restrict("edge_1_0", ("nor_conv_3x3",)).restrict("edge_2_0", ("avg_pool_3x3",))
    return [region.sample(rng) for _ in range(count)] + list(corner.enumerate())[:count]


@pytest.mark.parametrize("recalibrated", [True, False])
@pytest.mark.parametrize("capacity", [0, 3, 40])
def test_many_equal_one_by_one_exactly(
    supernet: CellSupernet, monkeypatch: pytest.MonkeyPatch, recalibrated: bool, capacity: int
) -> None:
    monkeypatch.setattr(tasks.cifar10.shared, "CAPACITY", capacity)
    scorer = make_scorer(recalibrated)
    cells = some_cells(supernet.region, 25)
    before = {name: t.clone() for name, t in supernet.state_dict().items()}
    many = dict(scorer.score_many(supernet, cells))
    assert many == {cell: scorer.score(supernet, cell) for cell in cells}
    assert all(torch.equal(t, before[name]) for name, t in supernet.state_dict().items())


def test_the_first_cell_is_computed_far_less_often(supernet: CellSupernet) -> None:
    calls = {"first": 0, "second": 0}
    for name, cell in zip(calls, supernet.net.stages[0], strict=True):
        for edge in cell.edges.values():
            for operation in edge.values():
                operation.register_forward_hook(
                    lambda *_, name=name: calls.__setitem__(name, calls[name] + 1)
                )
    # The whole corner behind two fixed edges, where a cell differs from the next by one edge.
    corner = supernet.region.restrict("edge_1_0", ("nor_conv_3x3",))
    corner = corner.restrict("edge_2_0", ("avg_pool_3x3",)).restrict("edge_2_1", ("none",))
    list(make_scorer(True).score_many(supernet, list(corner.enumerate())))
    assert calls["first"] < 0.4 * calls["second"]  # skips are not kept: they cost nothing


def test_other_images_are_computed_as_always(supernet: CellSupernet) -> None:
    cell = supernet.region.sample(random.Random(1))
    known, other = torch.randn(2, 1, 6, 6), torch.randn(2, 1, 6, 6)
    expected = supernet(other, cell)
    with supernet.sharing([known]):
        supernet(known, cell)
        assert torch.equal(supernet(other, cell), expected)
    assert supernet._shared is None
