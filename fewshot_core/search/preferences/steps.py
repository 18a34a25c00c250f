"""One training step of each method: the weights on one batch, the preferences on another.

The two batches come from different halves of the training images, so that preferences are learned
on images that the weights were not fitted to (Liu et al., ICLR 2019, section 2.3). The images that
architectures are scored on in the end belong to neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fewshot_core.data import Batch
from fewshot_core.search.preferences.controller import Controller
from fewshot_core.search.preferences.relaxed import RelaxedSupernet
from fewshot_core.seeds import derive_seed
from fewshot_core.spaces.space import Architecture
from fewshot_core.training.objective import Objective

Loss = Callable[[nn.Module, Batch, Architecture | None], Tensor]

PROPOSALS = 20
"""Draws of the controller in a step before the step is given up."""


def batches_of(step: int, first: int) -> int:
    """Batches that a step looks at; ``first`` is the one from which on preferences move."""
    return 1 if step < first else 2


class PreferenceStep(Protocol):
    """What moves the preferences."""

    def __call__(self, batch: Batch, other: Batch, step: int) -> dict[str, Tensor]:
        """Learn from ``other``; ``batch`` is what the weights are trained on in this step."""

    def state_dict(self) -> dict[str, Any]:
        """What a restart needs."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from it."""


class TwoBatchObjective:
    """Preferences first, then weights, as in algorithm 1 of Liu et al.

    Args:
        model: The supernet with its preferences.
        make_weights: Makes the task's own objective, over whatever can be trained then.
        preferences: Moves the preferences.
        others: The batch for the preferences, by step.
        first: The step from which on preferences move.
    """

    def __init__(
        self,
        model: RelaxedSupernet,
        make_weights: Callable[[], Objective],
        preferences: PreferenceStep,
        others: Callable[[int], Batch],
        first: int = 0,
    ) -> None:
        self.preferences, self.others, self.first = preferences, others, first
        self.choice = model.weights_of_choice()
        with freeze(self.choice):
            self.weights = make_weights()

    def step(
        self, batch: Batch, architectures: Sequence[Architecture | None], step: int
    ) -> dict[str, Tensor]:
        logged = {}
        if step >= self.first:
            logged = self.preferences(batch, self.others(step), step)
            for parameter in self.choice:  # or the weights' gradient is clipped by the norm of both
                parameter.grad = None
        with freeze(self.choice):
            return {**self.weights.step(batch, architectures, step), **logged}

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": self.weights.state_dict(),
            "preferences": self.preferences.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights.load_state_dict(state["weights"])
        self.preferences.load_state_dict(state["preferences"])


class MixtureStep:
    """Gradient of a loss of the mixture: DARTS, PC-DARTS and SETN.

    Args:
        model: The supernet with its preferences.
        loss: A differentiable loss; None for the architecture means the mixture.
        lr: Step size of Adam.
        weight_decay: What pulls the preferences to zero.
        rate: Learning rate of the weights by step: how far the second order looks ahead. None: the
            first order, which does not.
    """

    def __init__(
        self,
        model: RelaxedSupernet,
        loss: Loss,
        lr: float,
        weight_decay: float,
        rate: Callable[[int], float] | None = None,
    ) -> None:
        self.model, self.loss, self.rate = model, loss, rate
        self.optimizer = _adam(model.weights_of_choice(), lr, weight_decay)

    def __call__(self, batch: Batch, other: Batch, step: int) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        if self.rate is not None:
            loss = self._look_ahead(batch, other, self.rate(step))
        else:
            with freeze(self.model.weights_of_network()):
                loss = self.loss(self.model, other, None)
                loss.backward()
        self.optimizer.step()
        return {"loss of the preferences": loss.detach()}

    def _look_ahead(self, batch: Batch, other: Batch, rate: float) -> Tensor:
        """Equations 7 and 8 of Liu et al.: the weights after one step of their own."""
        weights, choice = self.model.weights_of_network(), self.model.weights_of_choice()
        before = [weight.detach().clone() for weight in weights]
        ahead = _gradients(self.loss(self.model, batch, None), weights)
        _move(weights, before, ahead, -rate)
        loss = self.loss(self.model, other, None)
        both = _gradients(loss, [*choice, *weights])
        direct, towards = both[: len(choice)], both[len(choice) :]
        length = torch.stack([g.norm() for g in towards if g is not None]).norm()
        reach = 0.01 / max(float(length), 1e-12)
        sides = []
        for sign in (1.0, -1.0):
            _move(weights, before, towards, sign * reach)
            sides.append(_gradients(self.loss(self.model, batch, None), choice))
        _move(weights, before, [None] * len(weights), 0.0)
        for parameter, straight, plus, minus in zip(choice, direct, *sides, strict=True):
            gradient = torch.zeros_like(parameter) if straight is None else straight
            if plus is not None and minus is not None:
                gradient = gradient - rate * (plus - minus) / (2 * reach)
            parameter.grad = gradient
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])


class ControllerStep:
    """REINFORCE on the controller of ENAS (Pham et al., section 2.2).

    The reward is the loss of a drawn architecture on one batch, with its sign turned: it needs no
    notion of accuracy, and tells more than that from so few images. What the constraint refuses is
    not scored but drawn anew, so that the controller learns among what is acceptable: the gradient
    is then that of the mean reward there, because rewards count from their mean.

    Args:
        model: The supernet; its weights stay as they are.
        controller: What learns.
        loss: A loss of one architecture.
        accepts: The constraint.
        seed: Seed of what is drawn.
        lr: Step size of Adam.
        entropy: Weight of the entropy of the controller's choices.
        decay: Decay of the moving average that rewards are compared with.
    """

    def __init__(
        self,
        model: nn.Module,
        controller: Controller,
        loss: Loss,
        accepts: Callable[[Architecture], bool],
        seed: int,
        *,
        lr: float,
        entropy: float,
        decay: float,
    ) -> None:
        self.model, self.controller, self.loss = model, controller, loss
        self.accepts, self.seed = accepts, seed
        self.entropy, self.decay = entropy, decay
        self.optimizer = _adam(list(controller.parameters()), lr)  # nothing pulls to zero
        self.baseline: float | None = None

    def __call__(self, batch: Batch, other: Batch, step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "controller", step))
        draws = (self.controller.draw(generator) for _ in range(PROPOSALS))
        drawn = next((draw for draw in draws if self.accepts(draw[0])), None)
        if drawn is None:
            return {}
        architecture, likelihood, entropy = drawn
        with torch.no_grad():
            reward = -float(self.loss(self.model, other, architecture))
        if self.baseline is None:
            self.baseline = reward
        advantage = reward - self.baseline
        self.baseline = self.decay * self.baseline + (1 - self.decay) * reward
        loss = -advantage * likelihood - self.entropy * entropy
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"reward": loss.new_tensor(reward)}

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "baseline": self.baseline}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline = state["baseline"]


def _adam(
    parameters: Sequence[nn.Parameter], lr: float, weight_decay: float = 0.0
) -> torch.optim.Adam:
    # Betas of Liu et al., appendix A.1.
    return torch.optim.Adam(parameters, lr=lr, betas=(0.5, 0.999), weight_decay=weight_decay)


@contextmanager
def freeze(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, no gradient is computed for them."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, parameters, allow_unused=True))


@torch.no_grad()
def _move(
    weights: Sequence[nn.Parameter],
    origin: Sequence[Tensor],
    direction: Sequence[Tensor | None],
    length: float,
) -> None:
    for weight, start, gradient in zip(weights, origin, direction, strict=True):
        weight.copy_(start if gradient is None else start + length * gradient)
