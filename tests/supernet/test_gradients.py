from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fewshot_core.errors import RegionError
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.spaces.splitters.base import find_divisible
from fewshot_core.supernet import Supernet
from fewshot_core.supernet.gradients import ByGradients, cosine, least_cut
from fewshot_core.testing.toys import toy_space

# Which options of decision `b` pull the shared weight the same way.
PULL = {0: 1.0, 1: -1.0, 2: 1.0, 3: -1.0}


class Toy(Supernet):
    """A shared weight that option o of `b` pulls along PULL[o]; other decisions do not matter."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self.shared = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.own = nn.ParameterList([nn.Parameter(torch.tensor(1.0)) for _ in PULL])
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        choice = int(architecture.choices[1])
        self.norm(x)
        return PULL[choice] * (self.shared * x).sum() + 0.1 * self.own[choice] * x.sum()

    def extract(self, architecture: Architecture) -> nn.Module:
        raise NotImplementedError


@pytest.fixture
def root() -> Region:
    return Region.root(toy_space(2, 4))


def splitter(root: Region, count: int = 2, samples: int = 3) -> ByGradients:
    def loss(model: Supernet, architecture: Architecture, sample: int) -> Tensor:
        generator = torch.Generator().manual_seed(sample)
        out: Tensor = model(torch.rand(4, 2, generator=generator) + 0.5, architecture)
        return out

    return ByGradients(Toy(root), loss, count, samples, seed=0)


def test_options_that_pull_the_same_way_stay_together(root: Region) -> None:
    partition = splitter(root)(root)
    assert [region.options("b") for region in partition.regions] == [(0, 2), (1, 3)]
    assert all(region.options("a") == (0, 1) for region in partition.regions)


def test_the_decision_that_disagrees_most_is_cut(root: Region) -> None:
    groupings = splitter(root).groupings(root)
    assert [grouping.decision for grouping in groupings] == ["b", "a"]
    assert groupings[0].cut == pytest.approx(-1.0)
    assert groupings[1].cut == pytest.approx(1.0)  # options of `a` do not matter, so they agree


def test_similarity_is_taken_over_shared_weights_alone(root: Region) -> None:
    similarity = splitter(root).groupings(root)[0].similarity
    signs = np.array([PULL[i] for i in range(4)])
    off_diagonal = ~np.eye(4, dtype=bool)
    assert similarity[off_diagonal] == pytest.approx(np.outer(signs, signs)[off_diagonal])


def test_the_supernet_is_left_as_it_is(root: Region) -> None:
    made = splitter(root)
    before = copy.deepcopy(made.supernet.state_dict())
    made(root)
    assert all(torch.equal(before[k], v) for k, v in made.supernet.state_dict().items())
    assert all(p.grad is None for p in made.supernet.parameters())


def test_same_seed_same_groups(root: Region) -> None:
    one, other = splitter(root).groupings(root), splitter(root).groupings(root)
    assert [(g.decision, g.groups, g.cut) for g in one] == [
        (g.decision, g.groups, g.cut) for g in other
    ]


def test_a_part_of_the_space_is_cut_within_itself(root: Region) -> None:
    part = root.restrict("b", (0, 1, 3))
    partition = splitter(root)(part)
    assert {region.options("b") for region in partition.regions} == {(0,), (1, 3)}


def test_too_many_groups_are_refused(root: Region) -> None:
    with pytest.raises(RegionError, match=r"split\.count of at most 4"):
        find_divisible(root, 5)
    assert find_divisible(root, 3) == ["b"]


def test_cosine_sums_in_the_order_of_the_weights() -> None:
    """Not in that of their hashes, which differs from process to process."""
    values = [1e16 * (-1) ** i if i % 3 else 1.0 + i for i in range(60)]
    one = {f"w{i}": torch.tensor([value], dtype=torch.float64) for i, value in enumerate(values)}
    other = {name: torch.ones(1, dtype=torch.float64) for name in reversed(one)}
    product = left = right = 0.0
    for value in values:
        product, left, right = product + value, left + value**2, right + 1.0
    assert cosine(one, other) == product / (math.sqrt(left) * math.sqrt(right))


def test_cosine_of_gradients() -> None:
    one = {"w": torch.tensor([3.0, 4.0]), "mine": torch.tensor([100.0])}
    other = {"w": torch.tensor([6.0, 8.0]), "theirs": torch.tensor([-100.0])}
    assert cosine(one, other) == pytest.approx(1.0)
    assert cosine(one, {"w": torch.zeros(2)}) is None
    assert cosine(one, {"else": torch.ones(1)}) is None


class TestLeastCut:
    def test_against_every_grouping(self) -> None:
        rng = np.random.default_rng(3)
        for _ in range(20):
            matrix = rng.uniform(-1, 1, (5, 5))
            matrix = (matrix + matrix.T) / 2
            groups, cut = least_cut(matrix, 2)
            every = []
            for mask in range(1, 31):
                side = [i for i in range(5) if mask >> i & 1]
                if len(side) in (2, 3):
                    rest = [i for i in range(5) if i not in side]
                    every.append(matrix[np.ix_(side, rest)].mean())
            assert cut == pytest.approx(min(every))
            assert sorted(i for group in groups for i in group) == list(range(5))

    @pytest.mark.parametrize(
        ("size", "count"), [(4, 4), (5, 2), (5, 3), (6, 3), (7, 3), (5, 5), (3, 2)]
    )
    def test_sizes_differ_by_one_at_most(self, size: int, count: int) -> None:
        groups, _ = least_cut(np.random.default_rng(0).uniform(-1, 1, (size, size)), count)
        sizes = [len(group) for group in groups]
        assert len(groups) == count
        assert max(sizes) - min(sizes) <= 1
        assert sum(sizes) == size

    def test_the_last_item_can_join_any_group(self) -> None:
        """Groups of unequal size must not depend on where an item stands."""
        for alone in range(3):
            matrix = np.ones((3, 3))
            matrix[alone, :] = matrix[:, alone] = -1
            groups, cut = least_cut(matrix, 2)
            assert (alone,) in groups
            assert cut == -1

    def test_unknown_pairs_are_left_out(self) -> None:
        matrix = np.full((4, 4), math.nan)
        matrix[0, 1] = matrix[1, 0] = 0.5
        groups, cut = least_cut(matrix, 2)
        assert cut == 0.0  # 0 and 1 together: nothing known is cut
        assert any({0, 1} <= set(group) for group in groups)
