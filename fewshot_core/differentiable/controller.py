"""The controller of ENAS: a recurrent network that makes one decision after the other.

Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018, sections 2.2
and 2.4: an LSTM whose input is the embedding of the decision before, with one linear layer per
decision here, because decisions may have different options.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fewshot_core.region import Region
from fewshot_core.space import Architecture

SQUASH = 2.5
"""Logits are kept within this by a tanh, so that no choice is shut off early."""


class Controller(nn.Module):
    """Draws architectures of a region's options; bands and constraints are checked elsewhere."""

    def __init__(self, region: Region, hidden: int) -> None:
        super().__init__()
        self.region = region
        self.cell = nn.LSTMCell(hidden, hidden)
        self.start = nn.Parameter(0.1 * torch.randn(1, hidden))
        self.options = nn.ModuleList(nn.Embedding(len(o), hidden) for o in region.allowed)
        self.heads = nn.ModuleList(nn.Linear(hidden, len(o)) for o in region.allowed)

    def draw(self, generator: torch.Generator) -> tuple[Architecture, Tensor, Tensor]:
        """One architecture.

        Args:
            generator: On the CPU.

        Returns:
            The architecture, its log-probability and the summed entropy of the choices (nats).
        """
        picks: list[int] = []
        likelihood = entropy = self.start.new_zeros(())
        state, given = None, self.start
        for head, embedding in zip(self.heads, self.options, strict=True):
            state = self.cell(given, state)
            logits = SQUASH * torch.tanh(head(state[0])[0])
            logs = functional.log_softmax(logits, 0)
            pick = int(torch.multinomial(logs.detach().exp().cpu(), 1, generator=generator))
            likelihood = likelihood + logs[pick]
            entropy = entropy - (logs.exp() * logs).sum()
            given = embedding(torch.tensor([pick], device=logits.device))
            picks.append(pick)
        choices = tuple(o[p] for o, p in zip(self.region.allowed, picks, strict=True))
        return Architecture(self.region.space.name, choices), likelihood, entropy
