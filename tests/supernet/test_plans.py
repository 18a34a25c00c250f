"""What a forward pass has to know of an architecture is worked out once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fewshot_core.errors import RegionError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet, base
from fewshot_core.testing.toys import toy_space


class Counting(Supernet):
    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self.made: list[Architecture] = []

    def make_plan(self, architecture: Architecture) -> tuple[int, ...]:
        self.made.append(architecture)
        return self.region.encode(architecture)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        return x * sum(self.plan(architecture))

    def extract(self, architecture: Architecture) -> nn.Module:
        raise NotImplementedError


@pytest.fixture
def supernet() -> Counting:
    space = toy_space()
    first = space.decisions[0]
    return Counting(Region.root(space).restrict(first.name, first.options[:2]))


def test_a_plan_is_made_once(supernet: Counting) -> None:
    one, other = list(supernet.region.enumerate())[:2]
    for architecture in (one, other, one, one):
        supernet(torch.ones(1), architecture)
    assert supernet.made == [one, other]


def test_others_are_refused_every_time(supernet: Counting) -> None:
    stranger = next(a for a in supernet.region.space.enumerate() if not supernet.region.contains(a))
    for _ in range(2):
        with pytest.raises(RegionError):
            supernet(torch.ones(1), stranger)
    assert supernet.made == []


def test_only_so_many_plans_are_kept(supernet: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PLANS", 2)
    one, two, three = list(supernet.region.enumerate())[:3]
    for architecture in (one, two, three, three, one):
        assert supernet.plan(architecture) == supernet.region.encode(architecture)
    assert supernet.made == [one, two, three, one]
