"""Gradient matching: options whose gradients agree may share weights, the others are separated.

Hu et al., "Generalizing Few-Shot NAS with Gradient Matching", ICLR 2022, section 3: for every
decision, the similarity of the gradients that its options send to the weights they share; the
partition of the options that cuts the least similarity. One batch gives one sample of it here, and
every sample compares the options inside the same random rest of the architecture.
"""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fewshot_core.spaces.region import Partition, Region
from fewshot_core.spaces.space import Architecture, Option
from fewshot_core.spaces.splitters.base import find_divisible
from fewshot_core.spaces.splitters.groups import ByGroups
from fewshot_core.supernet import Supernet

Loss = Callable[[Supernet, Architecture, int], Tensor]
"""A differentiable loss of an architecture on the numbered batch."""

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Grouping:
    """How the options of a decision are grouped.

    Attributes:
        decision: Its name.
        groups: The options of each group.
        cut: Mean cosine similarity between options of different groups; low is good.
        similarity: The matrix ``[options, options]`` it comes from, nan where no sample was.
    """

    decision: str
    groups: tuple[tuple[Option, ...], ...]
    cut: float
    similarity: NDArray[np.float64]


@dataclass(frozen=True)
class ByGradients:
    """Cut the decision whose options disagree most, into ``count`` groups that agree.

    Args:
        supernet: A trained supernet of the region that is cut; it is left as it is.
        loss: See :data:`Loss`.
        count: Number of groups; their sizes differ by one at most, as in the paper.
        samples: Random architectures, each with its own batch, that every option is put into.
        seed: Decides the architectures.
    """

    supernet: Supernet
    loss: Loss
    count: int
    samples: int
    seed: int

    def __call__(self, region: Region) -> Partition:
        """Cut the region.

        Raises:
            RegionError: No decision has ``count`` options.
        """
        best = self.groupings(region)[0]
        return ByGroups(best.decision, best.groups)(region)

    def groupings(self, region: Region) -> list[Grouping]:
        """The best grouping of every decision, the one that cuts least similarity first."""
        names = find_divisible(region, self.count)
        # Batch norm uses the statistics of the batch, as in training, and a copy forgets them.
        model = copy.deepcopy(self.supernet).train()
        found = []
        for name in names:
            options = region.options(name)
            similarity = self._similarity(model, region, name, options)
            groups, cut = least_cut(similarity, self.count)
            named = tuple(tuple(options[i] for i in group) for group in groups)
            found.append(Grouping(name, named, cut, similarity))
        return sorted(found, key=lambda grouping: grouping.cut)

    def _similarity(
        self, model: Supernet, region: Region, decision: str, options: Sequence[Option]
    ) -> NDArray[np.float64]:
        total = np.zeros((len(options), len(options)))
        count = np.zeros_like(total)
        rng = random.Random(f"{self.seed} {decision}")
        for sample in range(self.samples):
            family = _family(region, decision, options, rng)
            gradients = {
                index: _gradients(model, self.loss(model, architecture, sample))
                for index, architecture in family.items()
            }
            for (i, one), (j, other) in itertools.combinations(gradients.items(), 2):
                value = cosine(one, other)
                if value is not None:
                    total[i, j] += value
                    count[i, j] += 1
        total, count = total + total.T, count + count.T
        with np.errstate(invalid="ignore"):
            similarity: NDArray[np.float64] = total / count
        return similarity


def cosine(one: Gradients, other: Gradients) -> float | None:
    """Cosine of two gradients over the weights that both reach; None where one of them is zero."""
    product = left = right = 0.0
    for name in filter(other.__contains__, one):  # in order: sums of floats depend on it
        product += float((one[name] * other[name]).sum())
        left += float(one[name].square().sum())
        right += float(other[name].square().sum())
    scale = math.sqrt(left) * math.sqrt(right)
    return product / scale if scale > 0 and math.isfinite(scale) else None


def least_cut(
    similarity: NDArray[np.float64], count: int
) -> tuple[tuple[tuple[int, ...], ...], float]:
    """The grouping of ``n`` items that leaves the least similarity between groups.

    Args:
        similarity: Symmetric ``[n, n]``; nan counts as unknown and is left out.
        count: Number of groups, at most n. Sizes differ by one at most.

    Returns:
        The groups as ascending indices, and the mean similarity across them (0 where nothing
        is known). Every grouping is tried: a decision has few options.
    """
    size = len(similarity)
    best: tuple[tuple[tuple[int, ...], ...], float] | None = None
    for groups in _divide_evenly(tuple(range(size)), count):
        owner = np.empty(size, dtype=int)
        for number, group in enumerate(groups):
            owner[list(group)] = number
        across = similarity[owner[:, None] != owner[None, :]]
        known = across[~np.isnan(across)]
        cut = float(known.mean()) if known.size else 0.0
        if best is None or cut < best[1] - 1e-12:
            best = groups, cut
    assert best is not None
    return best


def _divide_evenly(items: tuple[int, ...], count: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """All ways to divide items into ``count`` groups whose sizes differ by one at most."""
    if count == 1:
        yield (items,)
        return
    small, extra = divmod(len(items), count)
    # The first group holds the first item, so that no grouping comes twice.
    for size in {small, small + (extra > 0)}:
        for rest in itertools.combinations(items[1:], size - 1):
            others = tuple(item for item in items[1:] if item not in rest)
            if _divisible(len(others), count - 1, small):
                for groups in _divide_evenly(others, count - 1):
                    if all(small <= len(group) <= small + 1 for group in groups):
                        yield ((items[0], *rest), *groups)


def _divisible(size: int, count: int, small: int) -> bool:
    return count * small <= size <= count * (small + 1)


def _family(
    region: Region, decision: str, options: Sequence[Option], rng: random.Random
) -> Mapping[int, Architecture]:
    """A random architecture with each of the options in turn, as far as the region has them."""
    place = region.space.position(decision)
    choices = list(region.sample(rng).choices)
    family = {}
    for index, option in enumerate(options):
        choices[place] = option
        architecture = Architecture(region.space.name, tuple(choices))
        if region.contains(architecture) and region.space.connected(architecture) is not None:
            family[index] = architecture
    return family


def _gradients(model: Supernet, loss: Tensor) -> Gradients:
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {
        name: parameter.grad.detach().float().clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
