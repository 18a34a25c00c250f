"""What a trained supernet prefers: architectures that it names, and how likely each option is."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from fewshot_core.errors import ConstraintError, RegionError
from fewshot_core.search.loop import sample_feasible
from fewshot_core.search.preferences.controller import Controller
from fewshot_core.search.preferences.relaxed import RelaxedSupernet, draw, most_likely, scores_of
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

DERIVED = "derived.json"
"""The file of a run folder with what every region prefers and names."""

SHARES = 1_000
"""Draws of a controller that tell how likely its options are."""


def name_architectures(
    model: RelaxedSupernet, accepts: Callable[[Architecture], bool], count: int, seed: int
) -> list[Architecture]:
    """Up to ``count`` architectures of the region: the likeliest first, then draws.

    A controller has no likeliest one at hand and names draws alone. Where the constraint refuses
    all that is likely, an acceptable architecture at random stands in.

    Args:
        model: Trained.
        accepts: The constraint.
        count: 1 for strategies that name the likeliest and no other.
        seed: Decides the draws.

    Returns:
        Different ones; none where the region has nothing acceptable.
    """
    rng, region = random.Random(derive_seed(seed, "named")), model.region
    if model.controller is not None:
        found = _draw(model.controller, accepts, count, seed)
    else:
        scores = scores_of(model)
        others = draw(region, scores, accepts, rng, count) if count > 1 else []
        found = [*_likeliest(region, scores, accepts, rng), *others]
    if found:
        return list(dict.fromkeys(found))[:count]
    try:
        return [sample_feasible(region, accepts, rng)]
    except ConstraintError:
        return []


def _likeliest(
    region: Region,
    scores: list[list[float]],
    accepts: Callable[[Architecture], bool],
    rng: random.Random,
) -> list[Architecture]:
    try:
        return [most_likely(region, scores, accepts, rng)]
    except RegionError:
        return []


def _draw(
    controller: Controller, accepts: Callable[[Architecture], bool], count: int, seed: int
) -> list[Architecture]:
    generator = torch.Generator().manual_seed(derive_seed(seed, "named"))
    found: dict[Architecture, None] = {}
    with torch.no_grad():
        for _ in range(20 * count):
            architecture = controller.draw(generator)[0]
            if controller.region.contains(architecture) and accepts(architecture):
                found.setdefault(architecture)
            if len(found) == count:
                break
    return list(found)


def probabilities(model: RelaxedSupernet, seed: int) -> dict[str, dict[str, float]]:
    """How likely each option is, by decision; of a controller, its share of 1,000 draws."""
    if model.controller is None:
        columns = [[math.exp(score) for score in scores] for scores in scores_of(model)]
    else:
        columns = _shares(model.controller, seed)
    return {
        name: {str(o): round(p, 4) for o, p in zip(options, column, strict=True)}
        for name, options, column in zip(model.names, model.region.allowed, columns, strict=True)
    }


def _shares(controller: Controller, seed: int) -> list[list[float]]:
    generator = torch.Generator().manual_seed(derive_seed(seed, "shares"))
    counts = [Counter[Any]() for _ in controller.region.allowed]
    with torch.no_grad():
        for _ in range(SHARES):
            for count, choice in zip(counts, controller.draw(generator)[0].choices, strict=True):
                count[choice] += 1
    return [
        [count[option] / SHARES for option in options]
        for count, options in zip(counts, controller.region.allowed, strict=True)
    ]
