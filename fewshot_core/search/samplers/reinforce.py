"""REINFORCE as an Optuna sampler."""

from __future__ import annotations

import math
from collections.abc import Callable

from fewshot_core.search.samplers.learning import LearningSampler
from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

TRIES = 50
"""Architectures that are drawn until one lies in the region's bands and meets the constraint."""

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8
"""Decay of the two moments of Adam, and its epsilon (Kingma and Ba, ICLR 2015)."""


class ReinforceSampler(LearningSampler):
    """Policy gradient (Zoph and Le, ICLR 2017, section 3.2) without a recurrent controller.

    The policy is a softmax for each decision, independent of the others, as in NAS-Bench-201 (Dong
    and Yang, ICLR 2020). The reward is the score, from which a moving average of earlier rewards is
    subtracted; Adam ascends the gradient. Adam divides by the size of the gradient, so the unit of
    the score does not matter.

    A duplicate is a sample of the policy like any other, and teaches it again.
    """

    def __init__(
        self,
        region: Region,
        *,
        lr: float,
        decay: float,
        accepts: Callable[[Architecture], bool] = lambda architecture: True,
        seed: int | None = None,
    ) -> None:
        super().__init__(region, seed)
        self.lr = lr
        self.decay = decay
        self.accepts = accepts
        self.logits = [[0.0] * len(options) for options in region.allowed]
        self._first = [[0.0] * len(options) for options in region.allowed]
        self._second = [[0.0] * len(options) for options in region.allowed]
        self._steps = 0
        self._baseline: float | None = None
        self._worst = math.inf

    def policy(self) -> list[list[float]]:
        """For each decision, the probabilities of its allowed options."""
        return [_softmax(logits) for logits in self.logits]

    def draw(self) -> Architecture:
        policy, name = self.policy(), self.region.space.name
        for _ in range(TRIES):
            pairs = zip(self.region.allowed, policy, strict=True)
            choices = tuple(self.rng.choices(options, weights)[0] for options, weights in pairs)
            architecture = Architecture(name, choices)
            if self.region.contains(architecture) and self.accepts(architecture):
                break
        return architecture

    def learn(self, architecture: Architecture, goodness: float) -> None:
        # A collapsed network has no finite score; it is as bad as the worst that has one.
        reward = goodness if math.isfinite(goodness) else self._worst
        if not math.isfinite(reward):
            return
        self._worst = min(self._worst, reward)
        if self._baseline is None:
            self._baseline = reward
        advantage = reward - self._baseline
        self._baseline += (1 - self.decay) * advantage
        self._ascend(architecture, advantage)

    def _ascend(self, architecture: Architecture, advantage: float) -> None:
        self._steps += 1
        first_bias, second_bias = 1 - FIRST**self._steps, 1 - SECOND**self._steps
        for place, (options, weights) in enumerate(
            zip(self.region.allowed, self.policy(), strict=True)
        ):
            logits, first, second = self.logits[place], self._first[place], self._second[place]
            for index, option in enumerate(options):
                chosen = option == architecture.choices[place]
                # The gradient of the log of a softmax.
                gradient = advantage * (chosen - weights[index])
                first[index] += (1 - FIRST) * (gradient - first[index])
                second[index] += (1 - SECOND) * (gradient * gradient - second[index])
                size = math.sqrt(second[index] / second_bias) + TINY
                logits[index] += self.lr * first[index] / first_bias / size


def _softmax(logits: list[float]) -> list[float]:
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]
