"""Recurrent policies: one decision after the other, each with the earlier ones in mind.

Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018, sections 2.2
and 2.4: an LSTM whose input is the embedding of the decision before, with one linear layer per
decision here, because decisions may have different options.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fewshot_core.spaces.region import Region
from fewshot_core.spaces.space import Architecture

SQUASH = 2.5
"""Logits are kept within this by a tanh, so that no choice is shut off early."""

LstmState = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Walk:
    """A row of decisions.

    Attributes:
        picks: Index of the chosen option, per decision.
        likelihood: Logarithm of their joint probability.
        entropy: Sum of the entropies of the choices (nats).
        state: The state of the LSTM after the last of them.
    """

    picks: tuple[int, ...]
    likelihood: Tensor
    entropy: Tensor
    state: LstmState | None


class RecurrentPolicy(nn.Module):
    """Chooses one option of each of several decisions.

    Args:
        sizes: Number of options of each decision.
        hidden: Size of the LSTM and of the embeddings.
        squash: Bound on the logits; None: no bound.
    """

    def __init__(self, sizes: Sequence[int], hidden: int, squash: float | None = SQUASH) -> None:
        super().__init__()
        self.squash = squash
        self.cell = nn.LSTMCell(hidden, hidden)
        self.start = nn.Parameter(0.1 * torch.randn(1, hidden))
        self.options = nn.ModuleList(nn.Embedding(size, hidden) for size in sizes)
        self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)

    def walk(self, pick: Callable[[int, Tensor], int], state: LstmState | None = None) -> Walk:
        """Decide everything.

        Args:
            pick: From the place of a decision and the logarithms of its options' probabilities to
                the index of one: drawn, or known.
            state: Where the LSTM starts; zeros by default.
        """
        picks: list[int] = []
        likelihood = entropy = self.start.new_zeros(())
        given: Tensor = self.start
        for place, (head, embedding) in enumerate(zip(self.heads, self.options, strict=True)):
            state = self.cell(given, state)
            assert state is not None
            logits = head(state[0])[0]
            if self.squash is not None:
                logits = self.squash * torch.tanh(logits)
            logs = functional.log_softmax(logits, 0)
            chosen = pick(place, logs)
            likelihood = likelihood + logs[chosen]
            entropy = entropy - (logs.exp() * logs).sum()
            given = embedding(torch.tensor([chosen], device=logits.device))
            picks.append(chosen)
        return Walk(tuple(picks), likelihood, entropy, state)


def drawing(generator: torch.Generator) -> Callable[[int, Tensor], int]:
    """A ``pick`` that draws by the probabilities; ``generator`` is on the CPU."""
    return lambda place, logs: int(
        torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator)
    )


class Controller(RecurrentPolicy):
    """The controller of ENAS: draws architectures of a region's options.

    Bands and constraints are checked elsewhere.
    """

    def __init__(self, region: Region, hidden: int) -> None:
        super().__init__([len(options) for options in region.allowed], hidden)
        self.region = region

    def draw(self, generator: torch.Generator) -> tuple[Architecture, Tensor, Tensor]:
        """One architecture.

        Args:
            generator: On the CPU.

        Returns:
            The architecture, its log-probability and the summed entropy of the choices (nats).
        """
        walk = self.walk(drawing(generator))
        choices = tuple(o[p] for o, p in zip(self.region.allowed, walk.picks, strict=True))
        return Architecture(self.region.space.name, choices), walk.likelihood, walk.entropy


class ControllerPaths:
    """The controller's own draws train the weights (Pham et al., section 2.2)."""

    paths_per_step = 1

    def __init__(self, controller: Controller) -> None:
        self.controller, self.region = controller, controller.region

    def draw(self, rng: random.Random) -> list[Architecture]:
        """One architecture, as it prefers; at random where none of its draws is in the bands."""
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        with torch.no_grad():
            for _ in range(100):
                architecture = self.controller.draw(generator)[0]
                if self.region.contains(architecture):
                    return [architecture]
        return [self.region.sample(rng)]
