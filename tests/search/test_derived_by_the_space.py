"""A space may say itself what a relaxation of it prefers."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from fewshot_core.search.preferences.relaxed import most_likely
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture, Option
from fewshot_tasks.cifar10.space import CellSpace, nasbench201


class TwoInputs(CellSpace):
    """Nodes of at most two inputs: of the strongest edges, as in Liu et al. (section 2.2)."""

    def derive(self, preferences: Mapping[str, Mapping[Option, float]]) -> Architecture:
        best = []
        for decision in self.decisions:
            operations = {o: p for o, p in preferences[decision.name].items() if o != "none"}
            best.append(max(operations.items(), key=lambda item: item[1]))
        choices = []
        for (target, _), (operation, strength) in zip(self.edges, best, strict=True):
            rivals = [b[1] for edge, b in zip(self.edges, best, strict=True) if edge[0] == target]
            choices.append(operation if strength >= sorted(rivals)[-2:][0] else "none")
        return Architecture(self.name, tuple(choices))


def test_what_the_space_derives_is_named() -> None:
    plain = nasbench201()
    space = TwoInputs(plain.name, plain.decisions, nodes=plain.nodes)
    region, rng = Region.root(space), random.Random(0)
    for _ in range(20):
        scores = [[math.log(rng.random()) for _ in options] for options in region.allowed]
        found = most_likely(region, scores, lambda a: True, rng)
        inputs = [
            sum(
                op != "none"
                for (t, _), op in zip(space.edges, found.choices, strict=True)
                if t == n
            )
            for n in (1, 2, 3)
        ]
        assert inputs == [1, 2, 2]
        # Where the constraint refuses it, the likeliest of the others is.
        assert most_likely(region, scores, found.__ne__, rng) != found
