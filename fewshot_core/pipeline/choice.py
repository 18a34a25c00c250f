"""The choice of a search: among scores that are equal within their noise, the cheaper network.

A share of right answers on n images is known no better than its binomial standard error. Whoever
takes the highest of many such scores takes luck with it, and pays for it in FLOPs. So the cheapest
is found of those that are at most ``search.noise`` standard errors below the best: the rule of one
standard error of Breiman et al. (Classification and Regression Trees, 1984). It is a rule of thumb,
and no test: scores of a search are of the same images, so that differences are known better than
each score; and the weights of a supernet have noise of their own, of which a count of images knows
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fewshot_core.pipeline.run import Run
from fewshot_core.recipe.schema import MeasuringSettings
from fewshot_core.search.trial import Trial, best_trial


@dataclass(frozen=True)
class Choice:
    """What a search chose.

    Attributes:
        found: The trial that is found.
        best: The trial with the highest score.
        error: The standard error of that score, in its unit; None where it is not known.
        within: By how much a score may be lower and still count as equal.
    """

    found: Trial
    best: Trial
    error: float | None
    within: float

    def to_json(self) -> dict[str, Any]:
        """A JSON value, for ``found.json``."""
        return {
            "best": {"trial": self.best.number, "score": self.best.score},
            "standard_error": self.error,
            "within": self.within,
        }


def choose(run: Run, done: list[Trial]) -> Choice:
    """What is found among the trials of a run, one or more of them with the whole budget."""
    best = best_trial(done, cost=run.price)
    error = standard_error(run, best.score)
    within = run.recipe.search.noise * (error or 0.0)
    return Choice(best_trial(done, cost=run.price, within=within), best, error, within)


def equal_within(run: Run, score: float) -> float:
    """By how much a score may be lower than ``score`` and still count as equal."""
    return run.recipe.search.noise * (standard_error(run, score) or 0.0)


def standard_error(run: Run, score: float) -> float | None:
    """The standard error of a score, in its unit; None where it is not known.

    It is known of a share of the validation images that a network gets right. Of a loss, a distance
    such as FID, a table, a proxy or a prediction it cannot be told from the number of images.
    """
    settings = run.recipe.evaluator
    measured = run.evaluator.direct or run.evaluator.trains  # and not predicted
    if not (run.evaluator.measures and measured and math.isfinite(score)):
        return None
    if not isinstance(settings, MeasuringSettings):
        return None
    if run.task.description.find_metric(settings.score).unit != "%":
        return None
    images = run.images.facts().described.get("validation")
    if not isinstance(images, int):
        return None
    return binomial_error(score, min(images, settings.images or images))


def binomial_error(percent: float, images: int) -> float:
    """The standard error of a share, in percent.

    The share is drawn a little towards one half, by two right and two wrong images (Agresti and
    Coull, 1998), so that it is not 0 where everything was right.

    Args:
        percent: The share of the images, in percent.
        images: Their number.
    """
    share = (percent / 100 * images + 2) / (images + 4)
    return 100 * math.sqrt(share * (1 - share) / (images + 4))
