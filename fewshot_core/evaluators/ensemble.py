"""Several scores that check each other: the mean of the ranks that they give an architecture.

The errors of a supernet come from weights that architectures share, those of a training-free proxy
from what an untrained network cannot know, and those of counting from knowing the size alone. They
have little in common, so that the mean of the ranks orders networks better than each of them
(``docs/results/ensemble.md``). Ranks need no weights to be tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fewshot_core.evaluators.base import NAME, Evaluator, EvaluatorContext
from fewshot_core.evaluators.counting import COSTS, CountingSettings
from fewshot_core.evaluators.inherited import InheritedWords, make_inherited
from fewshot_core.evaluators.making import make_evaluator
from fewshot_core.evaluators.words import Told, find_words
from fewshot_core.plugins import plugin, register
from fewshot_core.recipe.declare import setting
from fewshot_core.recipe.schema import InheritingSettings
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture

OUTER = 0.1
"""Share of the samples at either end whose spread says how ranks go on beyond the last of them."""


@dataclass(frozen=True)
class EnsembleSettings(InheritingSettings):
    """The mean rank by several scores."""

    name: str = setting("ensemble", NAME)
    proxy: str | None = setting(
        "naswot", "evaluator of untrained networks that counts beside the supernets; none: none"
    )
    size: str | None = setting(
        None, "params | flops | none: size of the connected network that counts, too", choices=COSTS
    )
    samples: int = setting(
        200, "random architectures within the limits; ranks are those among them", low=20
    )


class EnsembleWords(InheritedWords):
    """The mean rank by several scores."""

    def label(self, settings: Any, told: Told) -> str:
        count = 1 + len(_others(settings))
        return f"mean rank by {count} scores" if count > 1 else "rank by the supernet's score"

    def meaning(self, settings: Any, told: Told) -> str:
        by = "; ".join([self.weights(told), *_labels(settings, told)])
        # A small space may have fewer.
        among = f"among up to {settings.samples} random networks"
        return f"the mean rank (0.5 is the middle) {among} by {by}"

    def method(self, told: Told) -> str:
        return f"{self.kind(told)} ({told.supernets}, and ranks by other scores)"


def check_proxy(settings: EnsembleSettings, context: EvaluatorContext) -> Evaluator | None:
    """The scores that need no supernet, which can be asked before there is one."""
    of_proxy = _proxy_settings(settings)
    return make_evaluator(of_proxy[0], context) if of_proxy else None


@register(
    "evaluator",
    "ensemble",
    settings=EnsembleSettings,
    about="the mean rank by supernets, a training-free proxy and, if wanted, a cost",
    words=EnsembleWords(),
    inherits=True,
    measures=True,
    beforehand=check_proxy,
)
def make_ensemble(settings: EnsembleSettings, context: EvaluatorContext) -> EnsembleEvaluator:
    """Score ``settings.samples`` random architectures by every part: they are what ranks are among.

    The scores are kept in ``ensemble-scores/PART.csv``.
    """
    from fewshot_core.evaluators._samples import draw_samples  # it imports evaluators

    samples = draw_samples(context, settings.samples, derive_seed(context.seed, "ensemble"))
    makers: dict[str, Callable[[], Evaluator]] = {
        "supernet": partial(make_inherited, settings, context)
    }
    for of_part in _others(settings):
        makers[of_part.name] = partial(make_evaluator, of_part, context)
    parts = []
    for name, make in makers.items():
        scores = context.score_and_keep(
            make, samples, f"ensemble-scores/{name}.csv", f"scores to rank among, {name}"
        )
        parts.append(Part(name, make(), RankScale(scores.values())))
    return EnsembleEvaluator(parts)


class RankScale:
    """Turns scores of one kind into ranks among samples, as shares of their number.

    Between two samples a rank is interpolated, and beyond the best and the worst it goes on as
    steeply as among the outer tenth: the best of a search are all better than random samples, and
    have to be told apart.

    Args:
        scores: Those of the samples; what is not finite is left out.
    """

    def __init__(self, scores: Iterable[float]) -> None:
        known = np.array([score for score in scores if np.isfinite(score)])
        values, counts = np.unique(known, return_counts=True)
        self._values = values
        self._ranks = (np.cumsum(counts) - counts / 2) / max(1, known.size)
        self._below, self._above = self._slope(OUTER, 0), self._slope(1 - OUTER, -1)

    def __call__(self, score: float) -> float:
        """The rank, 0.5 in the middle; nan for a score that is not finite."""
        if not np.isfinite(score):
            return float("nan")
        if not self._values.size:
            return 0.5
        first, last = self._values[0], self._values[-1]
        rank = float(np.interp(score, self._values, self._ranks))
        return rank + self._below * min(0.0, score - first) + self._above * max(0.0, score - last)

    def _slope(self, share: float, end: int) -> float:
        """Ranks a unit of the score between the share of the samples and their end."""
        if not self._values.size:
            return 0.0
        inner = float(np.interp(share, self._ranks, self._values))
        width = abs(float(self._values[end]) - inner)
        return abs(float(self._ranks[end]) - share) / width if width else 0.0


class Part(NamedTuple):
    """One of the scores.

    Attributes:
        name: What it is called.
        evaluator: Gives it.
        rank: Turns it into a rank.
    """

    name: str
    evaluator: Evaluator
    rank: RankScale


class EnsembleEvaluator:
    """The mean of the ranks by several scores, each with the same weight.

    Args:
        parts: The scores; what the first of them measures is given, too.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def evaluate(self, architecture: Architecture) -> Mapping[str, float]:
        metrics: dict[str, float] = {}
        ranks = []
        for part in self._parts:
            given = part.evaluator.evaluate(architecture)
            metrics = metrics or dict(given)
            ranks.append(part.rank(given["score"]))
        return {**metrics, "score": float(np.mean(ranks))}


def _proxy_settings(settings: EnsembleSettings) -> list[Any]:
    """The settings of the proxy, if there is one."""
    return [plugin("evaluator", settings.proxy).default()] if settings.proxy else []


def _others(settings: EnsembleSettings) -> list[Any]:
    """The settings of the parts beside the supernets."""
    counted = [CountingSettings(cost=settings.size)] if settings.size else []
    return [*_proxy_settings(settings), *counted]


def _labels(settings: EnsembleSettings, told: Told) -> list[str]:
    return [
        find_words(plugin("evaluator", of_part.name)).label(of_part, told)
        for of_part in _others(settings)
    ]
