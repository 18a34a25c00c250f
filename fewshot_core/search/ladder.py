"""A ladder of trainings from scratch: many short ones, then fewer and longer ones.

Scores of a search say cheaply which of thousands of architectures are worth a training; which of
those is best is asked of trainings of their own. The rungs are those of successive halving
(Karnin et al., ICML 2013; Jamieson and Talwalkar, AISTATS 2016): each has the same budget, and the
best of one climb to the next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewshot_core.recipe.schema import LadderSettings
from fewshot_core.spaces.space import Architecture, PartEncoding, SearchSpace
from fewshot_core.trust.correlation import kendall

FOLDS = 5
"""Parts of the results, each of which is predicted by a model of the others."""

LEAST = 10
"""Results without which nothing is learnt."""

STRENGTHS = tuple(10.0**power for power in range(-2, 4))
"""Strengths of the regularisation that are tried, by leaving one out."""


@dataclass(frozen=True)
class Rung:
    """What happens on a rung.

    Attributes:
        networks: Architectures that are trained.
        epochs: Passes over the training images of each.
    """

    networks: int
    epochs: float


def plan_rungs(settings: LadderSettings) -> list[Rung]:
    """The rungs of a ladder, the first with the most networks; none without networks.

    Every rung has the same share of the passes, and divides it among its networks.
    """
    rungs = []
    for number in range(settings.rungs if settings.networks else 0):
        networks = max(1, math.ceil(settings.networks * settings.keep**number - 1e-9))
        rungs.append(Rung(networks, settings.epochs / settings.rungs / networks))
    return rungs


class LadderModel:
    """Predicts what a training would give, from the parts of an architecture.

    A linear model of the parts, whose strength of regularisation is chosen by leaving one out.

    Args:
        space: Names the parts.
        results: What trainings gave; higher is better.

    Attributes:
        tau: Kendall's tau between results and what models predicted that had not seen them.
    """

    def __init__(self, space: SearchSpace, results: Mapping[Architecture, float]) -> None:
        architectures = list(results)
        values = np.array([results[a] for a in architectures])
        self._encoding = PartEncoding(space, architectures)
        inputs = self._inputs(architectures)
        folds = np.arange(len(values)) % FOLDS
        guesses = np.empty(len(values))
        for fold in range(FOLDS):
            held = folds == fold
            guesses[held] = _fit(inputs[~held], values[~held]).predict(inputs[held])
        self.tau = kendall(guesses, values)
        self._model = _fit(inputs, values)

    def predict(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Predicted results ``[n]``."""
        predicted: NDArray[np.float64] = self._model.predict(self._inputs(architectures))
        return predicted

    def _inputs(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        return np.array([self._encoding.encode(architecture) for architecture in architectures])


def _fit(inputs: NDArray[np.float64], values: NDArray[np.float64]) -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(alphas=STRENGTHS).fit(inputs, values)


def join_results(
    rungs: Sequence[Mapping[Architecture, float]],
) -> dict[Architecture, float]:
    """Results of all rungs on the scale of the first.

    A longer training gives more. What it gives more on average to those that climbed is taken off,
    and of several results of an architecture the last counts, which tells most.

    Args:
        rungs: The results of each rung; higher is better.
    """
    joined: dict[Architecture, float] = {}
    offset = 0.0
    before: Mapping[Architecture, float] = {}
    for results in rungs:
        climbed = [a for a in results if a in before]
        if climbed:
            offset += sum(results[a] - before[a] for a in climbed) / len(climbed)
        joined |= {a: value - offset for a, value in results.items()}
        before = results
    return joined
