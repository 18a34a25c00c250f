"""A supernet with parameters that say which architectures it prefers.

Every decision of the region gets one number per option. Their softmax weights the options where all
of them run at once (:meth:`RelaxedSupernet.forward` without an architecture), and gives the
probabilities that architectures are drawn with. A decision with one option is decided.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fewshot_core.errors import RegionError
from fewshot_core.search.preferences.controller import Controller
from fewshot_core.spaces.region import ENUMERABLE, Region
from fewshot_core.spaces.space import Architecture
from fewshot_core.supernet import Supernet

TRIES = 1_000
"""Architectures drawn in a region that cannot be enumerated, to find the likeliest acceptable."""

FLATTER = (1.0, 0.5, 0.25, 0.0)
"""What logarithms of probabilities are multiplied with until a draw is acceptable; 0: uniform."""


class RelaxedSupernet(nn.Module):
    """A supernet and its preferences.

    Attributes:
        supernet: The supernet.
        preferences: Per decision, ``[options]`` in the order of the region; initially equal.
        controller: Draws architectures in place of the preferences, for ENAS.
        places: Per decision one number, or none: its weight among the decisions that it competes
            with, see :meth:`Supernet.competing`.
    """

    def __init__(
        self,
        supernet: Supernet,
        *,
        normalise_places: bool = False,
        controller: Controller | None = None,
    ) -> None:
        super().__init__()
        self.supernet, self.controller = supernet, controller
        region = supernet.region
        self.names = [decision.name for decision in region.space.decisions]
        self.preferences = nn.ParameterDict(
            {
                name: nn.Parameter(1e-3 * torch.randn(len(options)))
                for name, options in zip(self.names, region.allowed, strict=True)
            }
        )
        competing = supernet.competing() if normalise_places else ()
        self.groups = [list(group) for group in competing]
        self.places = nn.ParameterDict(
            {name: nn.Parameter(1e-3 * torch.randn(())) for group in competing for name in group}
        )

    @property
    def region(self) -> Region:
        """The region of the supernet."""
        return self.supernet.region

    def forward(self, x: Tensor, architecture: Architecture | None = None) -> Tensor:
        """Logits of one architecture, or of all options at once with their weights."""
        if architecture is not None:
            logits: Tensor = self.supernet(x, architecture)
            return logits
        return self.supernet.forward_mixed(x, self.mixture())

    def mixture(self) -> dict[str, Tensor]:
        """The weight of every option: per decision ``[options]``."""
        weights = {name: torch.softmax(self.preferences[name], 0) for name in self.names}
        for group in self.groups:
            shares = torch.softmax(torch.stack([self.places[name] for name in group]), 0)
            for name, share in zip(group, shares, strict=True):
                weights[name] = share * weights[name]
        return weights

    def weights_of_network(self) -> list[nn.Parameter]:
        """What is trained on the training images."""
        return list(self.supernet.parameters())

    def weights_of_choice(self) -> list[nn.Parameter]:
        """What is trained on the other images."""
        controller = [] if self.controller is None else list(self.controller.parameters())
        return [*self.preferences.parameters(), *self.places.parameters(), *controller]


def scores_of(model: RelaxedSupernet) -> list[list[float]]:
    """Log-probabilities of the options, decision by decision."""
    return [
        torch.log_softmax(model.preferences[name].detach().double().cpu(), 0).tolist()
        for name in model.names
    ]


def most_likely(
    region: Region,
    scores: list[list[float]],
    accepts: Callable[[Architecture], bool],
    rng: random.Random,
) -> Architecture:
    """What the space derives, or the acceptable one with the largest product of probabilities.

    Args:
        region: Where it has to lie.
        scores: Log-probabilities, for every decision those of the allowed options.
        accepts: The constraint.
        rng: For regions that cannot be enumerated and whose free choice is refused.

    Raises:
        RegionError: Nothing acceptable was found.
    """
    lookup = [dict(zip(o, s, strict=True)) for o, s in zip(region.allowed, scores, strict=True)]
    names = [decision.name for decision in region.space.decisions]
    free = region.space.derive(dict(zip(names, lookup, strict=True)))
    if region.contains(free) and accepts(free):
        return free
    members: list[Architecture] = []
    if region.box_size() <= ENUMERABLE:
        members = [a for a in region.enumerate() if accepts(a)]
    for flatter in () if region.box_size() <= ENUMERABLE else FLATTER:
        less = [[flatter * score for score in options] for options in scores]
        members = members or draw(region, less, accepts, rng, TRIES)
    if not members:
        raise RegionError(f"no acceptable architecture in region {region.id!r}")
    return max(members, key=lambda a: sum(t[c] for t, c in zip(lookup, a.choices, strict=True)))


def draw(
    region: Region,
    scores: list[list[float]],
    accepts: Callable[[Architecture], bool],
    rng: random.Random,
    count: int,
) -> list[Architecture]:
    """Up to ``count`` distinct acceptable architectures, drawn with their probabilities."""
    weights = [[math.exp(s) for s in options] for options in scores]
    found: dict[Architecture, None] = {}
    for _ in range(20 * count):
        picks = [rng.choices(range(len(w)), weights=w)[0] for w in weights]
        architecture = _architecture(region, picks)
        if region.contains(architecture) and accepts(architecture):
            found.setdefault(architecture)
        if len(found) == count:
            break
    return list(found)


def _architecture(region: Region, picks: list[int]) -> Architecture:
    choices = tuple(o[p] for o, p in zip(region.allowed, picks, strict=True))
    return Architecture(region.space.name, choices)
