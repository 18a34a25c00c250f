"""Random architectures that an evaluator gets to know before it scores what it is asked for."""

from __future__ import annotations

import random

from fewshot_core.evaluators.base import EvaluatorContext
from fewshot_core.search.loop import sample_feasible
from fewshot_core.spaces.space import Architecture

TRIES = 20
"""Draws for each architecture that is wanted, so that small spaces end, too."""


def draw_samples(context: EvaluatorContext, count: int, seed: int) -> list[Architecture]:
    """Different random architectures within the limits of a run; fewer where there are fewer."""
    rng, space = random.Random(seed), context.root.space
    drawn: dict[Architecture, None] = {}
    for _ in range(TRIES * count):
        if len(drawn) >= count:
            break
        drawn.setdefault(space.plain(sample_feasible(context.root, context.accepts, rng)))
    return list(drawn)
